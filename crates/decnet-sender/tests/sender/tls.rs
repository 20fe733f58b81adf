//! TLS verification, and HTTP/2 where a receiver offers it: one connection serves all requests to its origin.

use std::io::Write as _;
use std::time::Duration;

use crate::support::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use decnet_core::delivery::{Outcome, Reason};
use decnet_core::limits::{MAX_REPLY_BYTES, MAX_STORED_REPLY_BYTES};
use decnet_core::redact::Secret;
use decnet_core::signature::SigningKey;
use decnet_sender::{Options, Roots, Sender};
use decnet_testkit::{Receiver, Step, reply};
use futures_util::future::join_all;
use rustls::pki_types::CertificateDer;

fn trusting(receivers: &[&Receiver]) -> Options {
    Options { extra_roots: roots(receivers), resolver: resolver(&[("a.test", &["127.0.0.1"])]), ..options() }
}

fn encrypted(script: impl Into<decnet_testkit::Script>) -> Receiver {
    Receiver::builder().script(script).tls(&["a.test", "127.0.0.1"]).start()
}

#[test]
fn http2_carries_the_same_request() {
    let receiver = encrypted(reply(200).body("fine"));
    let sender = Sender::new(trusting(&[&receiver]));
    let (event, at) = (event("e2"), now());
    let url = receiver.url_for("user:pw@a.test", "/in?x=1");
    let attempted = run(async { sender.send(&target(&url), &event, at).await });
    assert_status(&attempted, 200);
    assert_eq!(attempted.reply, "fine");
    assert!(attempted.timings.tls.is_some());

    let request = &receiver.requests()[0];
    assert!(request.http2);
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/in?x=1"));
    assert_eq!(request.header("host"), format!("a.test:{}", receiver.port()));
    assert_eq!(request.header("authorization"), "Basic dXNlcjpwdw==");
    assert_eq!(request.header("webhook-id"), "e2");
    assert_eq!(request.body, event.body);
    let key = SigningKey::new(&Secret::new(SECRET));
    assert!(key.verify_decnet(&request.body, request.header("x-decnet-signature")));
}

#[test]
fn http2_requests_share_one_connection() {
    let receiver = encrypted(reply(200).delay(Duration::from_millis(20)));
    let sender = Sender::new(trusting(&[&receiver]));
    let target = target(&receiver.url_for("a.test", "/"));
    run(async {
        for _ in 0..3 {
            for attempted in join_all((0..32).map(|_| send(&sender, &target))).await {
                assert_status(&attempted, 200);
            }
        }
    });
    assert_eq!((receiver.count(), receiver.connections()), (96, 1));
}

#[test]
fn http1_connection_over_tls_is_reused() {
    let receiver = Receiver::builder().tls(&["127.0.0.1"]).http1_only().start();
    let sender = Sender::new(trusting(&[&receiver]));
    let target = target(&receiver.url("/"));
    run(async {
        for _ in 0..10 {
            assert_status(&send(&sender, &target).await, 200);
        }
    });
    assert!(receiver.requests().iter().all(|request| !request.http2));
    assert_eq!((receiver.count(), receiver.connections()), (10, 1));
}

#[test]
fn closed_http2_connection_is_replaced() {
    let receiver = encrypted(reply(200));
    let sender = Sender::new(trusting(&[&receiver]));
    let target = target(&receiver.url("/"));
    run(async {
        for round in 1..=5 {
            assert_status(&send(&sender, &target).await, 200);
            std::thread::sleep(Duration::from_millis(110));
            receiver.hang_up();
            assert_eq!((receiver.count(), receiver.connections()), (round, round));
        }
    });
}

/// A request without a reply does not affect others on its connection. Later requests get a new connection, because
/// the old one may be dead.
#[test]
fn timed_out_http2_request_resets_only_its_stream() {
    let script = decnet_testkit::Script::by(|request| match request.path.as_str() {
        "/hang" => Step::Hang,
        _ => reply(200).into(),
    });
    let receiver = encrypted(script);
    let sender = Sender::new(Options { deadline: SHORT, ..trusting(&[&receiver]) });
    run(async {
        assert_status(&send(&sender, &target(&receiver.url("/"))).await, 200);
        let hanging = send(&sender, &target(&receiver.url("/hang"))).await;
        assert_failed(&hanging, Reason::Timeout, "no reply within 400 ms");
        assert_eq!(receiver.connections(), 1);
        assert_status(&send(&sender, &target(&receiver.url("/"))).await, 200);
        assert_eq!(receiver.connections(), 2);
        assert!(receiver.has_open(1, LONG).await);
    });
}

#[test]
fn reset_http2_stream_is_a_lost_connection() {
    let receiver = encrypted(Step::Reset);
    let sender = Sender::new(trusting(&[&receiver]));
    let attempted = send_once(&sender, &receiver.url("/"));
    let text = "no reply: the receiver reports an internal error";
    assert_failed(&attempted, Reason::Disconnected, text);
    assert_eq!(receiver.count(), 1);
}

#[test]
fn huge_http2_reply_is_not_read_completely() {
    let receiver = encrypted(Step::Huge(1 << 30));
    let sender = Sender::new(trusting(&[&receiver]));
    let attempted = send_once(&sender, &receiver.url("/"));
    assert_status(&attempted, 200);
    assert_eq!(attempted.reply.len(), MAX_STORED_REPLY_BYTES);
    assert!(receiver.body_bytes_sent() < 64 * MAX_REPLY_BYTES as u64);
}

#[test]
fn expired_http2_connection_finishes_its_requests() {
    let script = decnet_testkit::Script::by(|request| match request.path.as_str() {
        "/slow" => reply(201).delay(Duration::from_millis(500)).into(),
        _ => reply(200).into(),
    });
    let receiver = encrypted(script);
    let options = Options { max_connection_age: Duration::from_millis(100), ..trusting(&[&receiver]) };
    let sender = Sender::new(options);
    run(async {
        let (slow, fast) = (target(&receiver.url("/slow")), target(&receiver.url("/")));
        let (event, at) = (event("e"), now());
        let mut first = Box::pin(sender.send(&slow, &event, at));
        until_received(&mut first, &receiver, 1).await;
        while receiver.connections() < 2 {
            assert_status(&send(&sender, &fast).await, 200);
        }
        assert_status(&first.await, 201);
    });
    let first = receiver.requests().into_iter().find(|request| request.path == "/slow").unwrap();
    assert_eq!(first.connection, 1);
}

#[test]
fn idle_http2_connection_is_closed_for_another_receiver() {
    let receivers: Vec<Receiver> = (0..5).map(|_| encrypted(reply(200))).collect();
    let all: Vec<&Receiver> = receivers.iter().collect();
    let sender = Sender::new(Options { max_sockets: 2, ..trusting(&all) });
    run(async {
        for receiver in receivers.iter().cycle().take(20) {
            assert_status(&send(&sender, &target(&receiver.url("/"))).await, 200);
        }
    });
}

#[test]
fn too_large_headers_have_the_same_reason_over_http2() {
    for kib in [40, 256] {
        let receiver = encrypted(Step::HugeHeader(kib * 1024));
        let sender = Sender::new(trusting(&[&receiver]));
        let attempted = send_once(&sender, &receiver.url("/"));
        assert_failed(&attempted, Reason::Protocol, "the reply's headers are too large");
    }
}

#[test]
fn certificates_are_verified() {
    let trusted = encrypted(reply(200));
    let expired = Receiver::builder().tls(&["127.0.0.1"]).valid_between(2000, 2001).start();
    let early = Receiver::builder().tls(&["127.0.0.1"]).valid_between(2999, 3000).start();
    let (plain, plain_server) = serve_once(|mut stream| {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        std::io::copy(&mut stream, &mut std::io::sink())
    });
    let names = resolver(&[("a.test", &["127.0.0.1"]), ("b.test", &["127.0.0.1"])]);
    let sender = Sender::new(Options { resolver: names, ..trusting(&[&trusted, &expired, &early]) });
    let untrusted = encrypted(reply(200));
    for (url, detail) in [
        (trusted.url_for("b.test", "/"), "the certificate is for a.test, 127.0.0.1, and b.test was expected"),
        (expired.url("/"), "the certificate expired on 2001-01-01 00:00:00 UTC; this host's clock says 20"),
        (
            early.url("/"),
            "the certificate is not valid before 2999-01-01 00:00:00 UTC; this host's clock says 20",
        ),
        (untrusted.url("/"), "the certificate's issuer is unknown"),
        (plain.replace("http:", "https:"), "the port does not speak TLS; use http:// if that is intended"),
    ] {
        let attempted = send_once(&sender, &url);
        assert_failed(&attempted, Reason::Tls, detail);
        let address = if url.contains("b.test") {
            format!("b.test (127.0.0.1:{})", trusted.port())
        } else {
            url.replace("https://", "").replace('/', "")
        };
        assert_failed(&attempted, Reason::Tls, &format!("TLS with {address}: "));
    }
    let _closed_or_reset = plain_server.join().unwrap();
    assert_eq!(trusted.count() + expired.count() + early.count() + untrusted.count(), 0);
}

/// `openssl req -x509` creates such a certificate for a single server; it is among the trusted roots.
#[test]
fn trusted_ca_certificate_is_accepted_for_the_server() {
    for http1_only in [false, true] {
        let builder = Receiver::builder().tls(&["a.test", "127.0.0.1"]).with_ca_certificate();
        let receiver = if http1_only { builder.http1_only() } else { builder }.start();
        let sender = Sender::new(trusting(&[&receiver]));
        let attempted = send_once(&sender, &receiver.url_for("a.test", "/"));
        assert_status(&attempted, 200);
        assert_eq!(receiver.requests()[0].http2, !http1_only);
    }
}

#[test]
fn trusted_ca_certificate_is_still_verified() {
    let ca = || Receiver::builder().tls(&["a.test"]).with_ca_certificate();
    let (valid, expired) = (ca().start(), ca().valid_between(2000, 2001).start());
    let early = ca().valid_between(2999, 3000).start();
    let untrusted = ca().start();
    let names = resolver(&[("a.test", &["127.0.0.1"]), ("b.test", &["127.0.0.1"])]);
    let sender = Sender::new(Options { resolver: names, ..trusting(&[&valid, &expired, &early]) });
    for (url, detail) in [
        (valid.url_for("b.test", "/"), "the certificate is for a.test, and b.test was expected"),
        (expired.url_for("a.test", "/"), "the certificate expired on 2001-01-01"),
        (early.url_for("a.test", "/"), "the certificate is not valid before 2999-01-01"),
        (
            untrusted.url_for("a.test", "/"),
            "(CA:TRUE) and not a trusted root itself; add it to this system's trusted roots",
        ),
    ] {
        let attempted = send_once(&sender, &url);
        assert_failed(&attempted, Reason::Tls, detail);
    }
    assert_eq!(valid.count() + expired.count() + early.count() + untrusted.count(), 0);
}

fn pem(receivers: &[&Receiver]) -> String {
    let block = |root: &CertificateDer<'_>| {
        let text = STANDARD.encode(root);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    };
    roots(receivers).iter().map(block).collect()
}

/// The attempt that encounters the unknown issuer succeeds itself.
#[test]
fn roots_are_reloaded_when_an_issuer_is_unknown() {
    let (old, new) = (encrypted(reply(200)), encrypted(reply(200)));
    let self_signed = Receiver::builder().tls(&["127.0.0.1"]).with_ca_certificate().start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("roots.pem");
    std::fs::write(&file, pem(&[&old])).unwrap();
    let reading = |roots_interval| {
        let options = Options { roots: Roots::File(file.clone()), roots_interval, ..options() };
        Sender::new(options)
    };
    let (eager, patient) = (reading(Duration::ZERO), reading(LONG));
    run(async {
        for sender in [&eager, &patient] {
            assert_status(&send(sender, &target(&old.url("/"))).await, 200);
            assert_failed(&send(sender, &target(&new.url("/"))).await, Reason::Tls, "issuer is unknown");
        }
        std::fs::write(&file, pem(&[&new, &self_signed])).unwrap();
        assert_status(&send(&eager, &target(&new.url("/"))).await, 200);
        assert_status(&send(&eager, &target(&self_signed.url("/"))).await, 200);
        assert_failed(&send(&patient, &target(&new.url("/"))).await, Reason::Tls, "issuer is unknown");
        std::fs::write(&file, "").unwrap();
        assert_failed(
            &send(&eager, &target(&encrypted(reply(200)).url("/"))).await,
            Reason::Tls,
            "issuer is unknown",
        );
        assert_status(&send(&eager, &target(&new.url("/"))).await, 200);
    });
}

#[test]
fn missing_roots_are_a_local_fault() {
    let receiver = encrypted(reply(200));
    let missing = Roots::File("/nowhere/roots.pem".into());
    let sender = Sender::new(Options { roots: missing, ..options() });
    let attempted = send_once(&sender, &receiver.url("/"));
    assert_eq!(attempted.outcome, Outcome::LocalFault);
    assert!(attempted.detail.as_ref().is_some_and(|text| text.contains("SSL_CERT_FILE")), "{attempted:?}");
    assert_eq!(receiver.count(), 0);
}

/// TLS 1.2 refuses within the handshake, TLS 1.3 after it (RFC 8446 section 4.4.2.4).
#[test]
fn required_client_certificate_is_reported() {
    let builder = || Receiver::builder().tls(&["127.0.0.1"]).requires_client_certificate();
    let attempt = |receiver: &Receiver| {
        let sender = Sender::new(trusting(&[receiver]));
        send_once(&sender, &receiver.url("/"))
    };
    for receiver in [builder().tls12_only().start(), builder().tls12_only().http1_only().start()] {
        assert_failed(
            &attempt(&receiver),
            Reason::Tls,
            "the receiver requires a client certificate, and decnet has none",
        );
    }
    // The sender may see the end of the connection before the alert.
    for receiver in [builder().start(), builder().http1_only().start()] {
        assert_failed(
            &attempt(&receiver),
            Reason::Tls,
            "a client certificate, and decnet has none to present",
        );
    }
}
