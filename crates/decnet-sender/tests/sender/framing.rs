//! HTTP/1.1 framing: malformed replies count by their status, and other bytes are never parsed as a reply.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::support::*;
use bytes::Bytes;
use decnet_core::limits::MAX_REPLY_WIRE_BYTES;
use decnet_sender::{Options, Sender};
use decnet_testkit::{Receiver, Step};

/// An upper bound of what the kernel buffers; unbounded replies would exceed it.
const IN_BUFFERS: u64 = 32 * 1024 * 1024;

fn raw(text: impl Into<Bytes>) -> Step {
    Step::Late { reply: text.into(), after: Duration::ZERO, rest: Bytes::new() }
}

/// Sends two events to a receiver that follows `step` for both. Returns the number of its connections.
fn send_twice(step: Step, status: u16) -> u64 {
    let receiver = Receiver::start(step);
    let (sender, target) = sender_to(&receiver);
    run(async {
        for _ in 0..2 {
            let attempted = send(&sender, &target).await;
            assert_status(&attempted, status);
            assert_eq!(attempted.repeats, 0, "{attempted:?}");
        }
    });
    assert_eq!(receiver.count(), 2);
    receiver.connections()
}

#[test]
fn malformed_header_lines_do_not_change_the_status() {
    for (reply, connections) in [
        ("HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 2\r\n\r\nok", 1),
        ("HTTP/1.1 200 OK\r\nx : a\r\ncontent-length: 2\r\n\r\nok", 1),
        ("HTTP/1.1 200 OK\r\nset-cookie: a\u{1}\0\r\ncontent-length: 2\r\n\r\nok", 1),
        ("HTTP/1.1 200 OK\r\nno colon\r\ncontent-length: 2\r\n\r\nok", 2),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\ncontent-length: 2\r\n\r\nok", 1),
    ] {
        assert_eq!(send_twice(raw(reply), 200), connections, "{reply:?}");
    }
    let many = format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", "x: y\r\n".repeat(1000));
    assert_eq!(send_twice(raw(many), 200), 1);
}

#[test]
fn conflicting_content_lengths_close_the_connection() {
    let reply = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nok";
    let receiver = Receiver::start(raw(reply));
    let attempted = run(send_to(&receiver));
    assert_status(&attempted, 200);
    assert_eq!(attempted.reply, "ok");
    let detail = "HTTP 200 OK; its content-length is invalid, so its body was not read";
    assert_eq!(attempted.detail.as_deref(), Some(detail));
    assert_eq!(send_twice(raw(reply), 200), 2);
}

#[test]
fn bodiless_status_with_a_length_closes_the_connection() {
    for (reply, status) in [
        ("HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\n", 204),
        ("HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n", 204),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 2\r\n\r\n", 304),
    ] {
        let step = Step::Late { reply: reply.into(), after: Duration::ZERO, rest: "ok".into() };
        assert_eq!(send_twice(step, status), 2, "{reply:?}");
    }
}

#[test]
fn bytes_after_a_reply_close_its_connection() {
    for reply in [
        "HTTP/1.1 204 No Content\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok, and more",
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n",
    ] {
        let status = if reply.contains("204") { 204 } else { 200 };
        assert_eq!(send_twice(raw(reply), status), 2, "{reply:?}");
    }
}

#[test]
fn bytes_on_an_idle_connection_close_it() {
    let first = Step::Late {
        reply: "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".into(),
        after: Duration::ZERO,
        rest: "HTTP/1.1 500 Not Yours\r\ncontent-length: 0\r\n\r\n".into(),
    };
    let receiver = Receiver::start(first);
    let (sender, target) = sender_to(&receiver);
    run(async {
        for connections in 1..=3 {
            assert_status(&send(&sender, &target).await, 200);
            assert_eq!(receiver.connections(), connections);
            while receiver.body_bytes_sent() < 44 * connections {
                tokio::task::yield_now().await;
            }
            // Lets the reactor see what the kernel has received.
            tokio::task::yield_now().await;
        }
    });
}

/// The body of a 204 arrives after the next request was sent, so the sender cannot notice it earlier.
#[test]
fn late_bytes_are_not_parsed_as_the_next_reply() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let receiver = std::thread::spawn(move || {
        let reply = b"HTTP/1.1 204 No Content\r\n\r\n";
        let (mut first, _) = listener.accept().unwrap();
        read_request(&mut first);
        first.write_all(reply).unwrap();
        read_request(&mut first);
        first.write_all(b"late body").unwrap();
        first.write_all(reply).unwrap();
        for _ in 0..3 {
            let (mut next, _) = listener.accept().unwrap();
            read_request(&mut next);
            next.write_all(reply).unwrap();
        }
    });
    let (sender, target) = (sender(), target(&url));
    run(async {
        for repeats in [0, 1, 0, 0] {
            let attempted = send(&sender, &target).await;
            assert_status(&attempted, 204);
            assert_eq!(attempted.repeats, repeats);
        }
    });
    receiver.join().unwrap();
}

/// Reads a request. Bodies of these tests contain no line break.
fn read_request(stream: &mut TcpStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"}") || !request.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&request));
        request.push(byte[0]);
    }
}

#[test]
fn keep_alive_timeout_is_respected() {
    for (timeout, pause, connections) in [(0, 0, 2), (1, 760, 2), (60, 0, 1)] {
        let reply = decnet_testkit::reply(200).header("keep-alive", &format!("timeout={timeout}, max=100"));
        let receiver = Receiver::start(reply);
        let (sender, target) = sender_to(&receiver);
        run(async {
            assert_status(&send(&sender, &target).await, 200);
            std::thread::sleep(Duration::from_millis(pause));
            assert_status(&send(&sender, &target).await, 200);
        });
        assert_eq!(receiver.connections(), connections, "timeout={timeout}");
    }
}

/// 64 KiB in one-byte chunks with long extensions would be 64 MiB on the wire, and trailers are unbounded too.
#[test]
fn reply_bytes_on_the_wire_are_bounded() {
    let extension = format!("1;{}\r\na\r\n", "x".repeat(1000));
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let length = "HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n";
    for (first, rest) in [
        (chunked.to_owned(), extension),
        (chunked.to_owned(), "1\r\na\r\n".to_owned()),
        (format!("{chunked}0\r\n"), "x: y\r\n".to_owned()),
        (length.to_owned(), "x".to_owned()),
    ] {
        let step = Step::Endless(first.into(), rest.repeat(16).into());
        let plain = Receiver::start(step.clone());
        let encrypted = Receiver::builder().script(step).tls(&["127.0.0.1"]).http1_only().start();
        let options = Options { extra_roots: roots(&[&encrypted]), ..options() };
        let sender = Sender::new(options);
        for receiver in [plain, encrypted] {
            let attempted = send_once(&sender, &receiver.url("/"));
            assert_status(&attempted, 200);
            let sent = receiver.body_bytes_sent();
            assert!(sent < MAX_REPLY_WIRE_BYTES as u64 + IN_BUFFERS, "{sent} bytes of {rest:.10}");
        }
    }
}
