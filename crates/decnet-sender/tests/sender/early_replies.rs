//! Replies that arrive before the request is sent completely: an error ends the request, a 2xx does not.

use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::thread::JoinHandle;

use crate::support::*;
use decnet_core::delivery::{Outcome, Reason};
use decnet_core::event::Event;
use decnet_sender::{AttemptResult, Sender};
use decnet_testkit::Receiver;
use decnet_testkit::frames::{self, Answer, Peer};

/// A body larger than all buffers between two sockets.
const LARGE: usize = 32 << 20;
/// The sender has received the reply once this much is read, because it is more than the buffers hold.
const HALF: u64 = 16 << 20;

fn event_of(bytes: usize) -> Event {
    Event::new("e", "a.b", "t", now(), &format!("{:?}", "x".repeat(bytes))).unwrap()
}

/// Starts a receiver that replies after it has read a little, and then calls `then`.
fn early<T: Send + 'static>(
    status: &str,
    then: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (String, JoinHandle<T>) {
    let reply = format!("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok");
    serve_once(move |mut stream| {
        stream.read_exact(&mut [0; 1000]).unwrap();
        stream.write_all(reply.as_bytes()).unwrap();
        then(stream)
    })
}

fn send_large(sender: &Sender, url: &str) -> AttemptResult {
    let event = event_of(LARGE);
    run(async { sender.send(&target(url), &event, now()).await })
}

fn read_half(stream: &mut TcpStream) {
    assert_eq!(std::io::copy(&mut stream.take(HALF), &mut std::io::sink()).unwrap(), HALF);
}

#[test]
fn rest_of_the_request_is_sent_after_an_early_2xx() {
    let (url, receiver) = early("200 OK", |mut stream| {
        let (mut tail, mut piece) = (Vec::new(), vec![0; 1 << 20]);
        while !tail.ends_with(b"}") {
            let read = stream.read(&mut piece).unwrap();
            assert!(read > 0, "the body was cut short");
            tail = piece[..read].to_vec();
        }
    });
    let attempted = send_large(&sender(), &url);
    assert_status(&attempted, 200);
    assert_eq!((attempted.reply.as_ref(), attempted.detail.as_deref()), (&b"ok"[..], None));
    receiver.join().unwrap();
}

#[test]
fn early_2xx_counts_only_after_a_complete_request() {
    let (url, receiver) = early("200 OK", |mut stream| read_half(&mut stream));
    let attempted = send_large(&sender(), &url);
    assert_failed(&attempted, Reason::Disconnected, "HTTP 200 OK came before the whole request was sent");
    receiver.join().unwrap();
}

#[test]
fn early_2xx_for_an_unread_request_times_out() {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let (url, receiver) = early("202 Accepted", move |_stream| stopped.recv());
    let attempted = send_large(&hasty_sender(), &url);
    assert_failed(&attempted, Reason::Timeout, "HTTP 202 Accepted came before the whole request was sent");
    drop(stop);
    assert!(receiver.join().unwrap().is_err());
}

/// The receiver rejects a large body early, and then continues to read or hangs up.
#[test]
fn early_error_reply_counts() {
    for hangs_up in [false, true] {
        let (url, receiver) = early("413 Too Large", move |mut stream| {
            // Returns once the sender has closed the connection, which it must not reuse.
            if !hangs_up {
                drop(std::io::copy(&mut stream, &mut std::io::sink()));
            }
        });
        let attempted = send_large(&sender(), &url);
        match &attempted.outcome {
            // A reset may overtake the reply.
            Outcome::Failed(Reason::Disconnected) if hangs_up => {}
            _ => {
                assert_status(&attempted, 413);
                assert_eq!(attempted.reply, "ok");
            }
        }
        receiver.join().unwrap();
    }
}

#[test]
fn early_redirect_counts_although_the_connection_ends() {
    let (url, receiver) = early("302 Found", |mut stream| read_half(&mut stream));
    assert_status(&send_large(&sender(), &url), 302);
    receiver.join().unwrap();
}

/// Sends 200 KB, more than the initial window of HTTP/2 (64 KiB). Waits until `requests` complete requests are read.
fn send_over_http2(peer: Peer, requests: u64) -> (AttemptResult, Receiver) {
    let receiver = Receiver::builder().tls(&["127.0.0.1"]).frames(peer).start();
    let sender = sender_trusting(&receiver);
    let event = event_of(200_000);
    let attempted = run(async {
        let attempted = sender.send(&target(&receiver.url("/")), &event, now()).await;
        assert!(receiver.reached(requests, LONG).await, "the request is not read completely");
        attempted
    });
    (attempted, receiver)
}

#[test]
fn rest_of_an_http2_request_is_sent_after_an_early_2xx() {
    let peer = Peer::new(frames::settings(&[]), |event| {
        let windows = [frames::window_update(0, 1 << 20), frames::window_update(event.stream, 1 << 20)];
        let reply = [frames::head(event.stream, 200, true), windows.concat()].concat();
        Answer::Send(if event.is_complete { Vec::new() } else { reply })
    });
    let (attempted, _receiver) = send_over_http2(peer, 1);
    assert_status(&attempted, 200);
}

/// RFC 9113 section 8.1 allows a complete reply followed by a reset without error.
#[test]
fn early_2xx_with_a_reset_does_not_count() {
    for (status, end) in [(200, "HTTP 200 OK came before the whole request was sent"), (413, "")] {
        let peer = Peer::new(frames::settings(&[]), move |event| {
            let reset = frames::reset(event.stream, frames::NO_ERROR);
            Answer::Send([frames::head(event.stream, status, true), reset].concat())
        });
        let (attempted, receiver) = send_over_http2(peer, 0);
        match status {
            200 => assert_failed(&attempted, Reason::Disconnected, end),
            _ => assert_status(&attempted, status),
        }
        assert_eq!(receiver.count(), 0, "no complete request was read");
    }
}
