//! Every way in which a receiver misbehaves ends in its own reason, within the deadline, in bounded memory.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::support::*;
use decnet_core::delivery::{Outcome, Reason};
use decnet_core::event::Event;
use decnet_core::limits::{KEPT_REPLY_BYTES, MAX_REPLY_BYTES};
use decnet_dispatch::sender::{Attempted, Options, Sender};
use decnet_testkit::{Receiver, Step, redirect, reply};

const TICK: Duration = Duration::from_millis(20);

fn attempt(step: impl Into<Step>) -> Attempted {
    let receiver = Receiver::start(step.into());
    run(send_to(&receiver))
}

/// Sends with a deadline that will pass, and checks that it is kept.
fn late_attempt(url: &str) -> Attempted {
    let attempted = run(async { send(&hasty_sender(), &target(url)).await });
    assert!(attempted.duration >= SHORT, "{attempted:?}");
    assert!(attempted.duration < LONG / 4, "{attempted:?}");
    attempted
}

#[test]
fn lost_connections_and_what_is_no_http() {
    for (step, reason, detail) in [
        (Step::Reset, Reason::Disconnected, "connection lost before the reply (connection reset)"),
        (Step::CloseMidHeaders, Reason::Disconnected, "closed the connection before its reply"),
        (
            Step::Garbage("\0\x01\x02 what is this\r\n\r\n".into()),
            Reason::Protocol,
            "the reply is not valid HTTP",
        ),
        (Step::Garbage("".into()), Reason::Disconnected, "closed the connection before its reply"),
        (Step::Garbage("HTTP/1.1 abc\r\n\r\n".into()), Reason::Protocol, "the reply is not valid HTTP"),
        (Step::HugeHeader(256 * 1024), Reason::Protocol, "headers are too large"),
    ] {
        assert_failed(&attempt(step), reason, detail);
    }
}

#[test]
fn a_refused_connection_names_the_address() {
    let receiver = Receiver::start(reply(200));
    let (url, address) = (receiver.url("/"), receiver.address());
    drop(receiver);
    let attempted = run(async { send(&sender(), &target(&url)).await });
    assert_failed(&attempted, Reason::Connect, &format!("connection refused ({address})"));
}

#[test]
fn a_name_that_does_not_resolve() {
    let unknown = Options { resolver: resolver(&[]), ..options() };
    let attempted =
        run(async { send(&Sender::new(unknown).unwrap(), &target("http://nowhere.test/")).await });
    assert_failed(&attempted, Reason::Resolve, "the look-up of nowhere.test failed: the name has no address");
    let attempted = run(async { send(&sender(), &target("http://nowhere.invalid/")).await });
    assert_failed(&attempted, Reason::Resolve, "the look-up of nowhere.invalid failed: the name");
}

#[test]
fn silence_and_dripping_headers_end_at_the_deadline() {
    for step in [Step::Hang, Step::DripHead(TICK)] {
        let receiver = Receiver::start(step);
        assert_failed(&late_attempt(&receiver.url("/")), Reason::Timeout, "no reply within 400 ms");
        assert_eq!(receiver.count(), 1);
    }
}

/// Nobody accepts: the kernel answers for a listener's backlog, and then no more; TLS has nobody to talk to.
#[test]
fn a_silent_handshake_ends_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let missed = format!("no TLS handshake with {} within 400 ms", listener.local_addr().unwrap());
    assert_failed(&late_attempt(&url), Reason::Timeout, &missed);
}

/// The status came in time: it counts, and the connection is not used again.
#[test]
fn a_status_counts_though_its_body_never_ends() {
    let receiver = Receiver::start(Step::DripBody(TICK));
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
fn a_status_counts_though_its_body_breaks_off() {
    let attempted = attempt(Step::CloseMidBody);
    assert_status(&attempted, 200);
    assert_eq!(attempted.detail.as_deref(), Some("HTTP 200 OK; the connection was lost within its body"));
    assert_eq!(attempted.reply.len(), 50);
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Receiver::start(reply(200));
    let attempted = attempt(redirect(&elsewhere.url("/")));
    assert_status(&attempted, 302);
    let expected = format!("HTTP 302 Found; redirects are not followed (to {})", elsewhere.url("/"));
    assert_eq!(attempted.detail.as_deref(), Some(&*expected));
    assert_eq!((elsewhere.count(), elsewhere.connections()), (0, 0));
}

#[test]
fn a_304_is_not_called_a_redirect() {
    let attempted = attempt(reply(304).header("location", "https://elsewhere.example/"));
    assert_status(&attempted, 304);
    assert_eq!(attempted.detail.as_deref(), Some("HTTP 304 Not Modified"));
}

/// A TLS server answers a request in clear text with an alert, and may hang up or wait.
#[test]
fn clear_text_to_a_tls_port_says_which_scheme_to_use() {
    for hangs_up in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let receiver = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; 16]).unwrap();
            // A fatal alert, protocol_version.
            stream.write_all(&[21, 3, 1, 0, 2, 2, 70]).unwrap();
            if !hangs_up {
                drop(std::io::copy(&mut stream, &mut std::io::sink()));
            }
        });
        let attempted = run(async { send(&sender(), &target(&url)).await });
        // A reset may overtake the alert.
        if !hangs_up || attempted.outcome == Outcome::Failed(Reason::Protocol) {
            assert_failed(&attempted, Reason::Protocol, "the port speaks TLS; use https:// in the URL");
        }
        receiver.join().unwrap();
    }
}

#[test]
fn retry_after_is_read_and_shown() {
    let replied =
        |status, seconds| Outcome::Replied { status, retry_after: Some(Duration::from_secs(seconds)) };
    let asked = attempt(reply(429).retry_after("120"));
    assert_eq!(asked.outcome, replied(429, 120));
    assert_eq!(asked.detail.as_deref(), Some("HTTP 429 Too Many Requests; asks to wait 120 s"));
    assert_eq!(attempt(reply(503).retry_after("0.5")).outcome, replied(503, 1));
    assert_eq!(attempt(reply(429).retry_after("86400")).outcome, replied(429, 3600));
    let date = reply(503).retry_after("Wed, 21 Oct 2015 07:28:00 GMT");
    assert_eq!(attempt(date).outcome, replied(503, 0));
    let nonsense = attempt(reply(503).retry_after("soon"));
    assert_eq!(nonsense.outcome, Outcome::Replied { status: 503, retry_after: None });
    assert_eq!(nonsense.detail.as_deref(), Some("HTTP 503 Service Unavailable"));
}

#[test]
fn an_interim_reply_is_not_the_reply() {
    assert_status(&attempt(reply(201).interim()), 201);
}

/// The receiver has read a little of a large body and refuses it; it may then go on reading, or hang up.
#[test]
fn a_reply_that_comes_before_the_body_is_sent_counts() {
    for hangs_up in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let receiver = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; 1000]).unwrap();
            let early =
                b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno";
            stream.write_all(early).unwrap();
            // The end of the sender's connection, which must not be used again, ends this too.
            if !hangs_up {
                drop(std::io::copy(&mut stream, &mut std::io::sink()));
            }
        });
        let event = Event::new("e", "a.b", "t", now(), &format!("{:?}", "x".repeat(16 << 20))).unwrap();
        let attempted = run(async { sender().send(&target(&url), &event, now()).await });
        match &attempted.outcome {
            // A reset may overtake the reply.
            Outcome::Failed(Reason::Disconnected) if hangs_up => {}
            _ => {
                assert_status(&attempted, 413);
                assert_eq!(attempted.reply, "no");
            }
        }
        receiver.join().unwrap();
    }
}

/// A receiver that never comes to the point is left when its heads together are too large.
#[test]
fn interim_replies_without_end_are_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let receiver = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        while stream.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n").is_ok() {}
    });
    let attempted = run(async { send(&sender(), &target(&url)).await });
    assert_failed(&attempted, Reason::Protocol, "headers are too large");
    receiver.join().unwrap();
}

#[test]
fn only_the_beginning_of_a_reply_is_kept() {
    let body: Vec<u8> = (0..u8::MAX).cycle().take(2 * KEPT_REPLY_BYTES).collect();
    let receiver = Receiver::start(reply(400).body(body.clone()));
    let (sender, target) = (sender(), target(&receiver.url("/")));
    run(async {
        for _ in 0..2 {
            let attempted = send(&sender, &target).await;
            assert_status(&attempted, 400);
            assert_eq!(attempted.reply, body[..KEPT_REPLY_BYTES]);
        }
    });
    assert_eq!(receiver.connections(), 1, "what fits the bound is read, and the connection reused");
}

/// Of a gigabyte, only what the bound and the kernel's buffers hold is taken.
#[test]
fn a_huge_reply_is_left_unread() {
    const GIGABYTE: u64 = 1 << 30;
    let receiver = Receiver::start(Step::Huge(GIGABYTE));
    let attempted = run(send_to(&receiver));
    assert_status(&attempted, 200);
    assert_eq!(attempted.reply, vec![b'x'; KEPT_REPLY_BYTES]);
    let in_buffers = 32 * 1024 * 1024;
    assert!(receiver.body_bytes_sent() < MAX_REPLY_BYTES as u64 + in_buffers);
}

#[test]
fn timings_tell_the_steps_apart() {
    let delay = Duration::from_millis(50);
    let receiver = Receiver::start(reply(200).delay(delay));
    let (sender, target) = (sender(), target(&receiver.url("/")));
    run(async {
        let begun = Instant::now();
        let first = send(&sender, &target).await;
        assert!(first.timings.resolve.is_none() && first.timings.tls.is_none());
        assert!(first.timings.connect.is_some());
        assert!(first.timings.first_byte >= Some(delay) && first.duration >= delay);
        assert!(first.duration <= begun.elapsed());
        assert_eq!(send(&sender, &target).await.timings.connect, None);
    });
}
