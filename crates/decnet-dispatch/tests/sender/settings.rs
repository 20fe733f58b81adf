//! What a subscription asks for is in every one of its requests, over both versions of HTTP.

use std::time::Duration;

use decnet_core::delivery::Reason;
use decnet_core::redact::Secret;
use decnet_core::settings::Headers;
use decnet_core::signature::SigningKey;
use decnet_core::trace;
use decnet_dispatch::sender::{Message, Options, Sender, Target};
use decnet_store::catalog::OldSecret;
use decnet_store::clock::Clock;
use decnet_testkit::{Receiver, Request, Step, reply};

use crate::support::*;

const HEADERS: &str = r#"{"headers": {"X-Tenant": "a b", "Authorization": "Bearer token", "x-empty": ""}}"#;

/// One that speaks HTTP/1.1, and one that speaks HTTP/2; each with a sender that trusts it.
fn both() -> [(Receiver, Sender); 2] {
    both_by(&Clock::default())
}

fn both_by(clock: &Clock) -> [(Receiver, Sender); 2] {
    [Receiver::start(reply(200)), Receiver::builder().script(reply(200)).tls(&["127.0.0.1"]).start()].map(
        |receiver| {
            let extra_roots = receiver.root_certificate().map_or_else(Vec::new, |_| roots(&[&receiver]));
            let sender = Options { extra_roots, clock: clock.clone(), ..options() };
            let sender = Sender::new(sender).unwrap();
            (receiver, sender)
        },
    )
}

fn all(request: &Request, name: &str) -> Vec<String> {
    request.headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

#[test]
fn headers_of_its_own_arrive_once_with_every_request() {
    for (receiver, sender) in both() {
        let target = Target::of(&stored(&receiver.url("/"), HEADERS)).unwrap();
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
fn who_sends_is_said_once_and_the_url_says_it() {
    for (receiver, sender) in both() {
        let url = receiver.url_for("user:pw@127.0.0.1", "/");
        let mut stored = stored(&url, "{}");
        // As it is where DECNET has written the URL meanwhile.
        stored.settings.headers = Headers::new([("authorization", "Bearer token")]).unwrap();
        let target = Target::of(&stored).unwrap();
        run(async { assert_status(&send(&sender, &target).await, 200) });
        assert_eq!(all(&receiver.requests()[0], "authorization"), ["Basic dXNlcjpwdw=="]);
    }
}

#[test]
fn replaced_secrets_sign_until_their_time_is_over() {
    let (begun, old) = (now(), ["the older secret of it", "the oldest secret of it"]);
    let until = [60, 30].map(|seconds| begun.after(Duration::from_secs(seconds)));
    let clock = Clock::default();
    for (receiver, sender) in both_by(&clock) {
        let mut stored = stored(&receiver.url("/"), "{}");
        stored.old_secrets = old
            .iter()
            .zip(until)
            .map(|(text, until)| OldSecret { secret: Secret::new(*text), until })
            .collect();
        let target = Target::of(&stored).unwrap();
        let times = [begun, until[1], until[0]];
        run(async {
            for at in times {
                clock.set(at);
                assert_status(&sender.send(&target, &event("e1"), at).await, 200);
            }
        });
        for (request, signing) in receiver.requests().iter().zip([3, 2, 1]) {
            let (signatures, at) = (request.header("webhook-signature"), request.header("webhook-timestamp"));
            assert_eq!(signatures.split(' ').count(), signing, "{signatures}");
            let fits = |secret: &str, signatures: &str| {
                let key = SigningKey::new(&Secret::new(secret));
                key.verify_standard("e1", at.parse().unwrap(), &request.body, signatures)
            };
            let secrets = [SECRET, old[0], old[1]];
            let fitting: Vec<bool> = secrets.iter().map(|secret| fits(secret, signatures)).collect();
            assert_eq!(fitting, [true, signing > 1, signing > 2]);
            assert!(fits(SECRET, signatures.split(' ').next().unwrap()), "the newest is first");
            let decnet = request.header("x-decnet-signature");
            assert!(SigningKey::new(&Secret::new(SECRET)).verify_decnet(&request.body, decnet));
        }
    }
}

#[test]
fn a_deadline_of_its_own_counts_for_it_alone() {
    let receiver = Receiver::start(Step::Hang);
    let (hasty, sender) =
        (Target::of(&stored(&receiver.url("/"), r#"{"timeout": "100ms"}"#)).unwrap(), sender());
    let patient = Target::of(&stored(&receiver.url("/"), r#"{"timeout": "1m"}"#)).unwrap();
    run(async {
        assert_failed(&send(&sender, &hasty).await, Reason::Timeout, "no reply within 100 ms");
        let (hasty_sender, plain) = (hasty_sender(), target(&receiver.url("/")));
        tokio::select! {
            attempted = send(&hasty_sender, &patient) => panic!("it waits for longer than the others: {attempted:?}"),
            attempted = send(&hasty_sender, &plain) => {
                assert_failed(&attempted, Reason::Timeout, "no reply within 400 ms");
            }
        }
    });
}

#[test]
fn each_attempt_says_where_it_stands_in_its_events_trace() {
    const ID: &str = "4f0c2d9e6b1a4c7f8d3e5a2b1c0f9e8d";
    for (receiver, sender) in both() {
        let stored = stored(&receiver.url("/"), r#"{"trace": true}"#);
        let (target, event) = (Target::of(&stored).unwrap(), event(ID));
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
fn nothing_of_it_is_sent_where_nothing_is_asked_for() {
    for (receiver, sender) in both() {
        let target = Target::of(&stored(&receiver.url("/"), "{}")).unwrap();
        run(async { assert_status(&send(&sender, &target).await, 200) });
        let request = &receiver.requests()[0];
        assert!(!request.header("webhook-signature").contains(' '));
        assert!(
            !request.headers.contains_key("traceparent") && !request.headers.contains_key("authorization")
        );
    }
}
