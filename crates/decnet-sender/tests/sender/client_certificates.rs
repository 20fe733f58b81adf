//! Client certificates and trusted roots of subscriptions.

use decnet_core::delivery::Reason;
use decnet_core::redact::Secret;
use decnet_core::settings::{self, Credentials, TrustRoots};
use decnet_sender::{CredentialsProblem, Options, Sender, Target, check_credentials};
use decnet_testkit::{ClientCertificate, Receiver};
use serde_json::json;

use crate::support::{
    assert_failed, assert_status, options, roots, run, send, sender, stored, target, target_of,
};

fn target_with(receiver: &Receiver, client: &ClientCertificate) -> Target {
    let certificate = json!({"certificates": client.certificate, "key": client.key});
    target_of(&stored(&receiver.url("/"), &json!({ "client_certificate": certificate }).to_string()))
}

fn target_trusting_its_root(receiver: &Receiver) -> Target {
    let patch = json!({ "trust_roots": receiver.root_certificate_pem().unwrap() });
    target_of(&stored(&receiver.url("/"), &patch.to_string()))
}

#[test]
fn each_client_certificate_has_connections_of_its_own() {
    let (one, other) = (ClientCertificate::generate(), ClientCertificate::generate());
    let builder = || Receiver::builder().tls(&["127.0.0.1"]).requires_one_of(&[&one, &other]);
    for receiver in [builder().start(), builder().http1_only().start(), builder().tls12_only().start()] {
        let sender = Sender::new(Options { extra_roots: roots(&[&receiver]), ..options() });
        let targets = [target_with(&receiver, &one), target_with(&receiver, &other)];
        run(async {
            for target in targets.iter().chain(&targets) {
                assert_status(&send(&sender, target).await, 200);
            }
            let without = send(&sender, &target(&receiver.url("/"))).await;
            assert_failed(&without, Reason::Tls, "a client certificate");
        });
        let connections: Vec<u64> = receiver.requests().iter().map(|request| request.connection).collect();
        assert_eq!(connections, [1, 2, 1, 2], "HTTP/2: {}", receiver.requests()[0].http2);
    }
}

/// With TLS 1.2 the rejection is part of the handshake.
#[test]
fn rejected_client_certificate_is_reported() {
    let (known, unknown) = (ClientCertificate::generate(), ClientCertificate::generate());
    let receiver = Receiver::builder().tls(&["127.0.0.1"]).requires_one_of(&[&known]).tls12_only().start();
    let sender = Sender::new(Options { extra_roots: roots(&[&receiver]), ..options() });
    let attempted = run(async { send(&sender, &target_with(&receiver, &unknown)).await });
    assert_failed(&attempted, Reason::Tls, "the receiver does not accept the client certificate");
    assert_eq!(receiver.count(), 0);
}

#[test]
fn equal_certificates_share_connections() {
    let client = ClientCertificate::generate();
    let receiver = Receiver::builder().tls(&["127.0.0.1"]).requires_one_of(&[&client]).start();
    let sender = Sender::new(Options { extra_roots: roots(&[&receiver]), ..options() });
    run(async {
        assert_status(&send(&sender, &target_with(&receiver, &client)).await, 200);
        assert_status(&send(&sender, &target_with(&receiver, &client)).await, 200);
    });
    assert_eq!(receiver.connections(), 1);
}

#[test]
fn trusted_roots_apply_to_their_subscription_only() {
    for receiver in [
        Receiver::builder().tls(&["127.0.0.1"]).start(),
        Receiver::builder().tls(&["127.0.0.1"]).http1_only().start(),
    ] {
        run(async {
            let sender = sender();
            let trusting = target_trusting_its_root(&receiver);
            assert_status(&send(&sender, &trusting).await, 200);
            let other = send(&sender, &target(&receiver.url("/"))).await;
            assert_failed(&other, Reason::Tls, "");
            assert_status(&send(&sender, &trusting).await, 200);
        });
        assert_eq!(receiver.count(), 2);
    }
}

#[test]
fn trusted_roots_replace_those_of_the_system() {
    let (receiver, other) =
        (Receiver::builder().tls(&["127.0.0.1"]).start(), Receiver::builder().tls(&["127.0.0.1"]).start());
    let sender = Sender::new(Options { extra_roots: roots(&[&receiver]), ..options() });
    let patch = json!({ "trust_roots": other.root_certificate_pem().unwrap() });
    let target = target_of(&stored(&receiver.url("/"), &patch.to_string()));
    let attempted = run(async { send(&sender, &target).await });
    assert_failed(&attempted, Reason::Tls, "");
    assert_eq!(receiver.count(), 0);
}

#[test]
fn unusable_certificates_are_reported_without_their_contents() {
    let (one, other) = (ClientCertificate::generate(), ClientCertificate::generate());
    let pem =
        |contents: &str| format!("-----BEGIN CERTIFICATE-----\n{contents}\n-----END CERTIFICATE-----\n");
    let check = |chain: &str, key: &str| {
        let certificate = settings::ClientCertificate::new(chain, Secret::new(key)).unwrap();
        check_credentials(&Credentials { client_certificate: Some(certificate), ..Credentials::default() })
    };
    assert_eq!(check(&one.certificate, &one.key), Ok(()));
    assert_eq!(check(&one.certificate, &other.key), Err(CredentialsProblem::OtherKey));
    assert_eq!(check(&one.key, &one.key), Err(CredentialsProblem::Chain));
    assert_eq!(check(&pem("aHVudGVyMg=="), &one.key), Err(CredentialsProblem::Chain));
    assert_eq!(check(&one.certificate, &one.certificate), Err(CredentialsProblem::Key));
    for bad in [pem("aHVudGVyMg=="), pem("hunter2!"), one.key.clone()] {
        let roots = Credentials { trust_roots: TrustRoots::new(&bad).ok(), ..Credentials::default() };
        assert_eq!(check_credentials(&roots), Err(CredentialsProblem::Roots), "{bad}");
    }
}
