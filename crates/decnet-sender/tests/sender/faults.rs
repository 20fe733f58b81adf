//! Misbehaving receivers: each fault has its own reason, within the deadline and in bounded memory.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::support::*;
use decnet_core::delivery::{Outcome, Reason};
use decnet_core::limits::{MAX_REPLY_BYTES, MAX_STORED_REPLY_BYTES};
use decnet_sender::{AttemptResult, Options, Sender};
use decnet_testkit::{Receiver, Step, redirect, reply};

const TICK: Duration = Duration::from_millis(20);

fn attempt(step: impl Into<Step>) -> AttemptResult {
    let receiver = Receiver::start(step.into());
    run(send_to(&receiver))
}

/// Sends `first` at once, and `rest` byte by byte.
fn drip(first: &'static str, rest: &str) -> Step {
    Step::Drip(first.into(), rest.to_owned().into(), TICK)
}

/// Sends with a deadline that passes, and asserts that the attempt ends in time.
pub(crate) fn timed_out_attempt(url: &str) -> AttemptResult {
    let attempted = send_once(&hasty_sender(), url);
    assert!(attempted.duration >= SHORT, "{attempted:?}");
    assert!(attempted.duration < LONG / 4, "{attempted:?}");
    attempted
}

#[test]
fn lost_connections_and_invalid_replies_differ_in_reason() {
    for (step, reason, detail) in [
        (Step::Reset, Reason::Disconnected, "connection lost before the reply (connection reset)"),
        (
            Step::Close("HTTP/1.1 200 OK\r\ncontent-le".into()),
            Reason::Disconnected,
            "closed the connection before its reply",
        ),
        (
            Step::Close("\0\x01\x02 what is this\r\n\r\n".into()),
            Reason::Protocol,
            "the reply is not valid HTTP",
        ),
        (Step::Close("".into()), Reason::Disconnected, "closed the connection before its reply"),
        (Step::Close("HTTP/1.1 abc\r\n\r\n".into()), Reason::Protocol, "the reply is not valid HTTP"),
        (Step::HugeHeader(256 * 1024), Reason::Protocol, "headers are too large"),
    ] {
        assert_failed(&attempt(step), reason, detail);
    }
}

#[test]
fn refused_connection_reports_the_address() {
    let receiver = Receiver::start(reply(200));
    let (url, address) = (receiver.url("/"), receiver.address());
    drop(receiver);
    let attempted = send_once(&sender(), &url);
    assert_failed(&attempted, Reason::Connect, &format!("connection refused ({address})"));
}

#[test]
fn unresolvable_name_is_a_resolve_failure() {
    let unknown = Sender::new(Options { resolver: resolver(&[]), ..options() });
    let attempted = send_once(&unknown, "http://nowhere.test/");
    assert_failed(&attempted, Reason::Resolve, "lookup of nowhere.test failed: the name has no address");
    let attempted = send_once(&sender(), "http://nowhere.invalid/");
    assert_failed(&attempted, Reason::Resolve, "lookup of nowhere.invalid failed: the name");
}

#[test]
fn silent_and_dripping_replies_time_out() {
    for step in [Step::Hang, drip("", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")] {
        let receiver = Receiver::start(step);
        assert_failed(&timed_out_attempt(&receiver.url("/")), Reason::Timeout, "no reply within 400 ms");
        assert_eq!(receiver.count(), 1);
    }
}

/// The kernel accepts the connection into the backlog, but no TLS server replies.
#[test]
fn silent_tls_handshake_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let missed = format!("no TLS handshake with {} within 400 ms", listener.local_addr().unwrap());
    assert_failed(&timed_out_attempt(&url), Reason::Timeout, &missed);
}

/// The status arrives in time, so it counts. The connection is not reused.
#[test]
fn status_counts_although_the_body_never_ends() {
    let receiver =
        Receiver::start(drip("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", &"x".repeat(1000)));
    let (sender, target) = (hasty_sender(), target(&receiver.url("/")));
    run(async {
        let attempted = send(&sender, &target).await;
        assert_status(&attempted, 200);
        assert!(attempted.detail.as_ref().is_some_and(|text| text.contains("did not end in time")));
        assert!(attempted.reply.starts_with(b"x") && attempted.reply.len() < 1000);
        assert!(attempted.duration >= SHORT && attempted.duration < LONG / 4, "{attempted:?}");
        assert!(receiver.has_open(0, LONG).await);
    });
}

#[test]
fn status_counts_although_the_body_breaks_off() {
    let attempted = attempt(Step::Close("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nok".into()));
    assert_status(&attempted, 200);
    assert_eq!(attempted.detail.as_deref(), Some("HTTP 200 OK; the connection was lost within its body"));
    assert_eq!(attempted.reply, "ok");
}

#[test]
fn redirect_is_not_followed() {
    let elsewhere = Receiver::start(reply(200));
    let attempted = attempt(redirect(&elsewhere.url("/")));
    assert_status(&attempted, 302);
    let expected = format!("HTTP 302 Found; redirects are not followed (to {})", elsewhere.url("/"));
    assert_eq!(attempted.detail.as_deref(), Some(&*expected));
    assert_eq!((elsewhere.count(), elsewhere.connections()), (0, 0));
}

#[test]
fn status_304_is_not_reported_as_a_redirect() {
    let attempted = attempt(reply(304).header("location", "https://elsewhere.example/"));
    assert_status(&attempted, 304);
    assert_eq!(attempted.detail.as_deref(), Some("HTTP 304 Not Modified"));
}

/// A TLS server replies to plain HTTP with an alert, and then hangs up or waits.
#[test]
fn plain_http_to_a_tls_port_suggests_https() {
    for hangs_up in [true, false] {
        let (url, receiver) = serve_once(move |mut stream| {
            stream.read_exact(&mut [0; 16]).unwrap();
            // A fatal alert, protocol_version.
            stream.write_all(&[21, 3, 1, 0, 2, 2, 70]).unwrap();
            if !hangs_up {
                drop(std::io::copy(&mut stream, &mut std::io::sink()));
            }
        });
        let attempted = send_once(&sender(), &url);
        // A reset may overtake the alert.
        if !hangs_up || attempted.outcome == Outcome::Failed(Reason::Protocol) {
            assert_failed(&attempted, Reason::Protocol, "the port speaks TLS; use https:// in the URL");
        }
        receiver.join().unwrap();
    }
}

#[test]
fn retry_after_is_parsed_and_reported() {
    let replied =
        |status, seconds| Outcome::Replied { status, retry_after: Some(Duration::from_secs(seconds)) };
    let limited = attempt(reply(429).retry_after("120"));
    assert_eq!(limited.outcome, replied(429, 120));
    assert_eq!(limited.detail.as_deref(), Some("HTTP 429 Too Many Requests; asks to wait 120 s"));
    assert_eq!(attempt(reply(503).retry_after("0.5")).outcome, replied(503, 1));
    assert_eq!(attempt(reply(429).retry_after("86400")).outcome, replied(429, 3600));
    let date = reply(503).retry_after("Wed, 21 Oct 2015 07:28:00 GMT");
    assert_eq!(attempt(date).outcome, replied(503, 0));
    let nonsense = attempt(reply(503).retry_after("soon"));
    assert_eq!(nonsense.outcome, Outcome::Replied { status: 503, retry_after: None });
    assert_eq!(nonsense.detail.as_deref(), Some("HTTP 503 Service Unavailable"));
}

#[test]
fn interim_reply_is_not_the_final_reply() {
    assert_status(&attempt(reply(201).interim()), 201);
}

/// The sender closes the connection when all interim heads together are too large.
#[test]
fn endless_interim_replies_are_an_error() {
    let (url, receiver) =
        serve_once(|mut stream| while stream.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n").is_ok() {});
    let attempted = send_once(&sender(), &url);
    assert_failed(&attempted, Reason::Protocol, "headers are too large");
    receiver.join().unwrap();
}

#[test]
fn only_the_beginning_of_a_reply_is_stored() {
    let body: Vec<u8> = (0..u8::MAX).cycle().take(2 * MAX_STORED_REPLY_BYTES).collect();
    let receiver = Receiver::start(reply(400).body(body.clone()));
    let (sender, target) = sender_to(&receiver);
    run(async {
        for _ in 0..2 {
            let attempted = send(&sender, &target).await;
            assert_status(&attempted, 400);
            assert_eq!(attempted.reply, body[..MAX_STORED_REPLY_BYTES]);
        }
    });
    assert_eq!(receiver.connections(), 1, "a body within the bound is read, so the connection is reused");
}

/// The sender reads at most the bound; the rest stays in the kernel's buffers or is never sent.
#[test]
fn huge_reply_is_not_read_completely() {
    const GIGABYTE: u64 = 1 << 30;
    let receiver = Receiver::start(Step::Huge(GIGABYTE));
    let attempted = run(send_to(&receiver));
    assert_status(&attempted, 200);
    assert_eq!(attempted.reply, vec![b'x'; MAX_STORED_REPLY_BYTES]);
    let in_buffers = 32 * 1024 * 1024;
    assert!(receiver.body_bytes_sent() < MAX_REPLY_BYTES as u64 + in_buffers);
}

#[test]
fn timings_are_recorded_per_phase() {
    let delay = Duration::from_millis(50);
    let receiver = Receiver::start(reply(200).delay(delay));
    let (sender, target) = sender_to(&receiver);
    run(async {
        let started = Instant::now();
        let first = send(&sender, &target).await;
        assert!(first.timings.resolve.is_none() && first.timings.tls.is_none());
        assert!(first.timings.connect.is_some());
        assert!(first.timings.first_byte >= Some(delay) && first.duration >= delay);
        assert!(first.duration <= started.elapsed());
        assert_eq!(send(&sender, &target).await.timings.connect, None);
    });
}
