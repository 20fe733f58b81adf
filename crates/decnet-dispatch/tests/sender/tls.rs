//! TLS is verified, HTTP/2 is used where offered, and one HTTP/2 connection serves all requests to its origin.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::Duration;

use crate::support::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use decnet_core::delivery::{Outcome, Reason};
use decnet_core::limits::{KEPT_REPLY_BYTES, MAX_REPLY_BYTES};
use decnet_core::redact::Secret;
use decnet_core::signature::SigningKey;
use decnet_dispatch::sender::{Options, Roots, Sender};
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
    let sender = Sender::new(trusting(&[&receiver])).unwrap();
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
    let sender = Sender::new(trusting(&[&receiver])).unwrap();
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
fn http1_over_tls_is_reused() {
    let receiver = Receiver::builder().tls(&["127.0.0.1"]).http1_only().start();
    let sender = Sender::new(trusting(&[&receiver])).unwrap();
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
fn a_closed_http2_connection_is_replaced() {
    let receiver = encrypted(reply(200));
    let sender = Sender::new(trusting(&[&receiver])).unwrap();
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

/// A request that is not answered takes only itself along: the others on the connection go on, the next
/// ones get a new connection, for this one may be dead.
#[test]
fn a_hanging_http2_request_is_reset_alone() {
    let hang_on_demand = decnet_testkit::Script::by(|request| match request.path.as_str() {
        "/hang" => Step::Hang,
        _ => reply(200).into(),
    });
    let receiver = encrypted(hang_on_demand);
    let sender = Sender::new(Options { deadline: SHORT, ..trusting(&[&receiver]) }).unwrap();
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
fn a_lost_http2_stream_is_a_lost_connection() {
    let receiver = encrypted(Step::Reset);
    let sender = Sender::new(trusting(&[&receiver])).unwrap();
    let attempted = run(async { send(&sender, &target(&receiver.url("/"))).await });
    let text = "no reply: the receiver reports an internal error";
    assert_failed(&attempted, Reason::Disconnected, text);
    assert_eq!(receiver.count(), 1);
}

#[test]
fn a_huge_http2_reply_is_left_unread() {
    let receiver = encrypted(Step::Huge(1 << 30));
    let sender = Sender::new(trusting(&[&receiver])).unwrap();
    let attempted = run(async { send(&sender, &target(&receiver.url("/"))).await });
    assert_status(&attempted, 200);
    assert_eq!(attempted.reply.len(), KEPT_REPLY_BYTES);
    assert!(receiver.body_bytes_sent() < 64 * MAX_REPLY_BYTES as u64);
}

#[test]
fn an_old_http2_connection_finishes_what_is_on_it() {
    let slow_on_demand = decnet_testkit::Script::by(|request| match request.path.as_str() {
        "/slow" => reply(201).delay(Duration::from_millis(500)).into(),
        _ => reply(200).into(),
    });
    let receiver = encrypted(slow_on_demand);
    let options = Options { max_connection_age: Duration::from_millis(100), ..trusting(&[&receiver]) };
    let sender = Sender::new(options).unwrap();
    run(async {
        let (slow, quick) = (target(&receiver.url("/slow")), target(&receiver.url("/")));
        let (event, at) = (event("e"), now());
        let mut first = Box::pin(sender.send(&slow, &event, at));
        tokio::select! {
            attempted = &mut first => panic!("{attempted:?}"),
            reached = receiver.reached(1, LONG) => assert!(reached),
        }
        while receiver.connections() < 2 {
            assert_status(&send(&sender, &quick).await, 200);
        }
        assert_status(&first.await, 201);
    });
    let first = receiver.requests().into_iter().find(|request| request.path == "/slow").unwrap();
    assert_eq!(first.connection, 1);
}

#[test]
fn an_idle_http2_connection_makes_room_for_another_receiver() {
    let receivers: Vec<Receiver> = (0..5).map(|_| encrypted(reply(200))).collect();
    let all: Vec<&Receiver> = receivers.iter().collect();
    let sender = Sender::new(Options { max_sockets: 2, ..trusting(&all) }).unwrap();
    run(async {
        for receiver in receivers.iter().cycle().take(20) {
            assert_status(&send(&sender, &target(&receiver.url("/"))).await, 200);
        }
    });
}

#[test]
fn too_large_headers_read_the_same_over_http2() {
    for kib in [40, 256] {
        let receiver = encrypted(Step::HugeHeader(kib * 1024));
        let sender = Sender::new(trusting(&[&receiver])).unwrap();
        let attempted = run(async { send(&sender, &target(&receiver.url("/"))).await });
        assert_failed(&attempted, Reason::Protocol, "the reply's headers are too large");
    }
}

#[test]
fn certificates_are_verified() {
    let trusted = encrypted(reply(200));
    let expired = Receiver::builder().tls(&["127.0.0.1"]).expired().start();
    let early = Receiver::builder().tls(&["127.0.0.1"]).not_yet_valid().start();
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let over_tls = format!("https://{}/", plain.local_addr().unwrap());
    let bewildered = std::thread::spawn(move || {
        let (mut stream, _) = plain.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        std::io::copy(&mut stream, &mut std::io::sink())
    });
    let names = resolver(&[("a.test", &["127.0.0.1"]), ("b.test", &["127.0.0.1"])]);
    let sender = Sender::new(Options { resolver: names, ..trusting(&[&trusted, &expired, &early]) }).unwrap();
    let stranger = encrypted(reply(200));
    for (url, detail) in [
        (trusted.url_for("b.test", "/"), "the certificate is for a.test, 127.0.0.1, and b.test was expected"),
        (expired.url("/"), "the certificate expired on 2001-01-01 00:00:00 UTC; this host's clock says 20"),
        (
            early.url("/"),
            "the certificate is not valid before 2999-01-01 00:00:00 UTC; this host's clock says 20",
        ),
        (stranger.url("/"), "the certificate's issuer is unknown"),
        (over_tls, "the port does not speak TLS; use http:// if that is intended"),
    ] {
        let attempted = run(async { send(&sender, &target(&url)).await });
        assert_failed(&attempted, Reason::Tls, detail);
        let address = if url.contains("b.test") {
            format!("b.test (127.0.0.1:{})", trusted.port())
        } else {
            url.replace("https://", "").replace('/', "")
        };
        assert_failed(&attempted, Reason::Tls, &format!("TLS with {address}: "));
    }
    let _ended_or_reset = bewildered.join().unwrap();
    assert_eq!(trusted.count() + expired.count() + early.count() + stranger.count(), 0);
}

/// What `openssl req -x509` makes for a single server, among the trusted roots.
#[test]
fn a_trusted_ca_certificate_is_accepted_as_the_receivers_own() {
    for http1_only in [false, true] {
        let builder = Receiver::builder().tls(&["a.test", "127.0.0.1"]).with_ca_certificate();
        let receiver = if http1_only { builder.http1_only() } else { builder }.start();
        let sender = Sender::new(trusting(&[&receiver])).unwrap();
        let attempted = run(async { send(&sender, &target(&receiver.url_for("a.test", "/"))).await });
        assert_status(&attempted, 200);
        assert_eq!(receiver.requests()[0].http2, !http1_only);
    }
}

#[test]
fn a_trusted_ca_certificate_is_still_verified() {
    let ca = || Receiver::builder().tls(&["a.test"]).with_ca_certificate();
    let (valid, expired, early) = (ca().start(), ca().expired().start(), ca().not_yet_valid().start());
    let stranger = ca().start();
    let names = resolver(&[("a.test", &["127.0.0.1"]), ("b.test", &["127.0.0.1"])]);
    let sender = Sender::new(Options { resolver: names, ..trusting(&[&valid, &expired, &early]) }).unwrap();
    for (url, detail) in [
        (valid.url_for("b.test", "/"), "the certificate is for a.test, and b.test was expected"),
        (expired.url_for("a.test", "/"), "the certificate expired on 2001-01-01"),
        (early.url_for("a.test", "/"), "the certificate is not valid before 2999-01-01"),
        (
            stranger.url_for("a.test", "/"),
            "(CA:TRUE) and not a trusted root itself; add it to this system's trusted roots",
        ),
    ] {
        let attempted = run(async { send(&sender, &target(&url)).await });
        assert_failed(&attempted, Reason::Tls, detail);
    }
    assert_eq!(valid.count() + expired.count() + early.count() + stranger.count(), 0);
}

fn pem(receivers: &[&Receiver]) -> String {
    let block = |root: &CertificateDer<'_>| {
        let text = STANDARD.encode(root);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    };
    roots(receivers).iter().map(block).collect()
}

/// The attempt that finds the issuer unknown is the one that goes through.
#[test]
fn roots_are_read_again_when_an_issuer_is_unknown() {
    let (old, new) = (encrypted(reply(200)), encrypted(reply(200)));
    let self_signed = Receiver::builder().tls(&["127.0.0.1"]).with_ca_certificate().start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("roots.pem");
    std::fs::write(&file, pem(&[&old])).unwrap();
    let reading = |roots_interval| {
        let options = Options { roots: Roots::File(file.clone()), roots_interval, ..options() };
        Sender::new(options).unwrap()
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
fn missing_roots_are_a_fault_of_this_host() {
    let receiver = encrypted(reply(200));
    let missing = Roots::File("/nowhere/roots.pem".into());
    let sender = Sender::new(Options { roots: missing, ..options() }).unwrap();
    let attempted = run(async { send(&sender, &target(&receiver.url("/"))).await });
    assert_eq!(attempted.outcome, Outcome::LocalFault);
    assert!(attempted.detail.as_ref().is_some_and(|text| text.contains("SSL_CERT_FILE")), "{attempted:?}");
    assert_eq!(receiver.count(), 0);
}

/// TLS 1.2 refuses within the handshake, TLS 1.3 after it (RFC 8446 section 4.4.2.4).
#[test]
fn a_receiver_that_wants_a_client_certificate_is_told_so() {
    let builder = || Receiver::builder().tls(&["127.0.0.1"]).asks_for_client_certificate();
    let attempt = |receiver: &Receiver| {
        let sender = Sender::new(trusting(&[receiver])).unwrap();
        run(async { send(&sender, &target(&receiver.url("/"))).await })
    };
    for receiver in [builder().tls12_only().start(), builder().tls12_only().http1_only().start()] {
        assert_failed(
            &attempt(&receiver),
            Reason::Tls,
            "the receiver requires a client certificate, and decnet has none",
        );
    }
    // The end of the connection may be seen before the alert.
    for receiver in [builder().start(), builder().http1_only().start()] {
        assert_failed(
            &attempt(&receiver),
            Reason::Tls,
            "a client certificate, and decnet has none to present",
        );
    }
}
