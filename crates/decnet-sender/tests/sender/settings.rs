//! Settings of a subscription apply to all of its requests, over both versions of HTTP.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use decnet_core::delivery::Reason;
use decnet_core::redact::Secret;
use decnet_core::settings::Headers;
use decnet_core::signature::OldSecret;
use decnet_core::signature::SigningKey;
use decnet_core::trace;
use decnet_runtime::clock::Clock;
use decnet_sender::{Message, Options, Sender};
use decnet_testkit::{Receiver, Request, Step, reply};
use ring::signature::{ED25519, UnparsedPublicKey};

use crate::support::*;

const HEADERS: &str = r#"{"headers": {"X-Tenant": "a b", "Authorization": "Bearer token", "x-empty": ""}}"#;

/// Starts a receiver with HTTP/1.1 and one with HTTP/2, each with a sender that trusts it.
fn both() -> [(Receiver, Sender); 2] {
    both_by(&Clock::default())
}

fn both_by(clock: &Clock) -> [(Receiver, Sender); 2] {
    [Receiver::start(reply(200)), Receiver::builder().script(reply(200)).tls(&["127.0.0.1"]).start()].map(
        |receiver| {
            let extra_roots = receiver.root_certificate().map_or_else(Vec::new, |_| roots(&[&receiver]));
            let sender = Options { extra_roots, clock: clock.clone(), ..options() };
            let sender = Sender::new(sender);
            (receiver, sender)
        },
    )
}

fn all(request: &Request, name: &str) -> Vec<String> {
    request.headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

#[test]
fn custom_headers_are_sent_once_with_every_request() {
    for (receiver, sender) in both() {
        let target = target_of(&stored(&receiver.url("/"), HEADERS));
        run(async {
            for _ in 0..3 {
                assert_status(&send(&sender, &target).await, 200);
            }
        });
        for request in receiver.requests() {
            let of = |name| all(&request, name);
            assert_eq!(
                (of("x-tenant"), of("authorization")),
                (vec!["a b".into()], vec!["Bearer token".into()])
            );
            assert_eq!(
                (of("x-empty"), of("webhook-id").len(), of("host").len()),
                (vec![String::new()], 1, 1)
            );
        }
    }
}

#[test]
fn url_credentials_override_an_authorization_header() {
    for (receiver, sender) in both() {
        let url = receiver.url_for("user:pw@127.0.0.1", "/");
        let mut stored = stored(&url, "{}");
        // Both are set if DECNET has rewritten the URL since.
        stored.settings.headers = Headers::new([("authorization", "Bearer token")]).unwrap();
        let target = target_of(&stored);
        run(async { assert_status(&send(&sender, &target).await, 200) });
        assert_eq!(all(&receiver.requests()[0], "authorization"), ["Basic dXNlcjpwdw=="]);
    }
}

#[test]
fn replaced_secrets_sign_until_they_expire() {
    let (start, old) = (now(), ["the older secret of it", "the oldest secret of it"]);
    let until = [60, 30].map(|seconds| start.after(Duration::from_secs(seconds)));
    let clock = Clock::default();
    for (receiver, sender) in both_by(&clock) {
        let mut stored = stored(&receiver.url("/"), "{}");
        stored.old_secrets = old
            .iter()
            .zip(until)
            .map(|(text, until)| OldSecret { secret: Secret::new(*text), until })
            .collect();
        let target = target_of(&stored);
        let times = [start, until[1], until[0]];
        run(async {
            for at in times {
                clock.set(at);
                assert_status(&sender.send(&target, &event("e1"), at).await, 200);
            }
        });
        for (request, signing) in receiver.requests().iter().zip([3, 2, 1]) {
            let (signatures, at) = (request.header("webhook-signature"), request.header("webhook-timestamp"));
            assert_eq!(signatures.split(' ').count(), signing, "{signatures}");
            let verifies = |secret: &str, signatures: &str| {
                let key = SigningKey::new(&Secret::new(secret));
                key.verify_standard("e1", at.parse().unwrap(), &request.body, signatures)
            };
            let secrets = [SECRET, old[0], old[1]];
            let verified: Vec<bool> = secrets.iter().map(|secret| verifies(secret, signatures)).collect();
            assert_eq!(verified, [true, signing > 1, signing > 2]);
            assert!(verifies(SECRET, signatures.split(' ').next().unwrap()), "the newest secret signs first");
            let decnet = request.header("x-decnet-signature");
            assert!(SigningKey::new(&Secret::new(SECRET)).verify_decnet(&request.body, decnet));
        }
    }
}

#[test]
fn asymmetric_signature_follows_the_symmetric_one() {
    // The example key of Svix, whose server defined the scheme: seed and public key.
    const KEY: &str =
        "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
    const PUBLIC: &str = "1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";
    let public = UnparsedPublicKey::new(&ED25519, STANDARD.decode(PUBLIC).unwrap());
    for (receiver, sender) in both() {
        let target = target_of(&stored(&receiver.url("/"), &format!(r#"{{"private_key": "{KEY}"}}"#)));
        run(async { assert_status(&send(&sender, &target).await, 200) });
        let request = &receiver.requests()[0];
        let (first, second) = request.header("webhook-signature").split_once(' ').unwrap();
        assert!(first.starts_with("v1,"), "{first}");
        let signature = STANDARD.decode(second.strip_prefix("v1a,").unwrap()).unwrap();
        let signed = format!("e1.{}.", request.header("webhook-timestamp"));
        public.verify(&[signed.as_bytes(), &request.body].concat(), &signature).unwrap();
    }
}

#[test]
fn custom_timeout_applies_only_to_its_subscription() {
    let receiver = Receiver::start(Step::Hang);
    let (impatient, sender) = (target_of(&stored(&receiver.url("/"), r#"{"timeout": "100ms"}"#)), sender());
    let patient = target_of(&stored(&receiver.url("/"), r#"{"timeout": "1m"}"#));
    run(async {
        assert_failed(&send(&sender, &impatient).await, Reason::Timeout, "no reply within 100 ms");
        let (hasty_sender, plain) = (hasty_sender(), target(&receiver.url("/")));
        tokio::select! {
            attempted = send(&hasty_sender, &patient) => panic!("the longer timeout applies: {attempted:?}"),
            attempted = send(&hasty_sender, &plain) => {
                assert_failed(&attempted, Reason::Timeout, "no reply within 400 ms");
            }
        }
    });
}

#[test]
fn traceparent_identifies_the_attempt() {
    const ID: &str = "4f0c2d9e6b1a4c7f8d3e5a2b1c0f9e8d";
    for (receiver, sender) in both() {
        let stored = stored(&receiver.url("/"), r#"{"trace": true}"#);
        let (target, event) = (target_of(&stored), event(ID));
        run(async {
            for attempt in [1, 2] {
                let message = Message { attempt, ..(&event).into() };
                assert_status(&sender.send(&target, message, now()).await, 200);
            }
        });
        for (request, attempt) in receiver.requests().iter().zip([1, 2]) {
            let span = trace::attempt_span(ID, &stored.subscription.uuid, 0, attempt);
            assert_eq!(all(request, "traceparent"), [format!("00-{ID}-{span}-01")]);
        }
    }
}

#[test]
fn default_settings_add_no_headers() {
    for (receiver, sender) in both() {
        let target = target_of(&stored(&receiver.url("/"), "{}"));
        run(async { assert_status(&send(&sender, &target).await, 200) });
        let request = &receiver.requests()[0];
        assert!(!request.header("webhook-signature").contains(' '));
        assert!(
            !request.headers.contains_key("traceparent") && !request.headers.contains_key("authorization")
        );
    }
}
