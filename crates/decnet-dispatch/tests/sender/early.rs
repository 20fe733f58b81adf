//! A reply that comes before its request was sent: an error ends the request, a 2xx does not.

use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use crate::support::*;
use decnet_core::delivery::Reason;
use decnet_core::event::Event;
use decnet_dispatch::sender::{Attempted, Options, Sender};
use decnet_testkit::Receiver;
use decnet_testkit::frames::{self, Answer, Peer};

/// More than all buffers between two sockets hold.
const LARGE: usize = 32 << 20;
/// What has been read when the sender has certainly seen the reply: more than the buffers hold.
const HALF: u64 = 16 << 20;

fn event_of(bytes: usize) -> Event {
    Event::new("e", "a.b", "t", now(), &format!("{:?}", "x".repeat(bytes))).unwrap()
}

/// A receiver that answers when it has read a little, and then does as `then` says.
fn early<T: Send + 'static>(
    status: &str,
    then: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (String, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let reply = format!("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok");
    let receiver = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 1000]).unwrap();
        stream.write_all(reply.as_bytes()).unwrap();
        then(stream)
    });
    (url, receiver)
}

fn send_large(sender: &Sender, url: &str) -> Attempted {
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
fn early_2xx_counts_only_for_a_whole_request() {
    let (url, receiver) = early("200 OK", |mut stream| read_half(&mut stream));
    let attempted = send_large(&sender(), &url);
    assert_failed(&attempted, Reason::Disconnected, "HTTP 200 OK came before the whole request was sent");
    receiver.join().unwrap();
}

#[test]
fn early_2xx_whose_request_is_never_read_ends_at_the_deadline() {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let (url, receiver) = early("202 Accepted", move |_stream| stopped.recv());
    let attempted = send_large(&hasty_sender(), &url);
    assert_failed(&attempted, Reason::Timeout, "HTTP 202 Accepted came before the whole request was sent");
    drop(stop);
    assert!(receiver.join().unwrap().is_err());
}

#[test]
fn early_redirect_counts_though_the_connection_ends() {
    let (url, receiver) = early("302 Found", |mut stream| read_half(&mut stream));
    assert_status(&send_large(&sender(), &url), 302);
    receiver.join().unwrap();
}

/// 200 KB fit no initial window of HTTP/2, which is 64 KiB. `requests` are read to their end.
fn send_over_http2(peer: Peer, requests: u64) -> (Attempted, Receiver) {
    let receiver = Receiver::builder().tls(&["127.0.0.1"]).frames(peer).start();
    let sender = Sender::new(Options { extra_roots: roots(&[&receiver]), ..options() }).unwrap();
    let event = event_of(200_000);
    let attempted = run(async {
        let attempted = sender.send(&target(&receiver.url("/")), &event, now()).await;
        assert!(receiver.reached(requests, LONG).await, "the whole request was read");
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

/// What RFC 9113 section 8.1 allows: the whole reply, and then a reset without error.
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
        assert_eq!(receiver.count(), 0, "no whole request was read");
    }
}
