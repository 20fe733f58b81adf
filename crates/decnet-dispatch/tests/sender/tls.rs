//! TLS is verified, HTTP/2 is used where offered, and one HTTP/2 connection serves all requests to its origin.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::Duration;

use crate::support::*;
use decnet_core::delivery::Reason;
use decnet_core::limits::{KEPT_REPLY_BYTES, MAX_REPLY_BYTES};
use decnet_core::redact::Secret;
use decnet_core::signature::SigningKey;
use decnet_dispatch::sender::{Options, Sender};
use decnet_testkit::{Receiver, Step, reply};
use futures_util::future::join_all;

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
    assert_failed(&attempted, Reason::Disconnected, "connection lost before the reply");
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
fn certificates_are_verified() {
    let trusted = encrypted(reply(200));
    let expired = Receiver::builder().tls(&["127.0.0.1"]).expired().start();
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let over_tls = format!("https://{}/", plain.local_addr().unwrap());
    let bewildered = std::thread::spawn(move || {
        let (mut stream, _) = plain.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        std::io::copy(&mut stream, &mut std::io::sink())
    });
    let sender = Sender::new(trusting(&[&trusted, &expired])).unwrap();
    let stranger = encrypted(reply(200));
    for (url, detail) in [
        (trusted.url_for("localhost", "/"), "the host name resolves to no address"),
        (expired.url("/"), "TLS: certificate expired"),
        (stranger.url("/"), "TLS: certificate of an unknown issuer"),
        (over_tls, "TLS: the receiver does not speak TLS on this port"),
    ] {
        let attempted = run(async { send(&sender, &target(&url)).await });
        let reason = if detail.starts_with("TLS") { Reason::Tls } else { Reason::Resolve };
        assert_failed(&attempted, reason, detail);
    }
    let _ended_or_reset = bewildered.join().unwrap();
    assert_eq!(trusted.count() + expired.count() + stranger.count(), 0);
}
