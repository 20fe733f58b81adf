//! HTTP/2: unprocessed requests are sent again at once, and what a receiver sends is bounded.

use std::time::Duration;

use crate::support::*;
use decnet_core::delivery::Reason;
use decnet_core::limits::{MAX_REPLY_WIRE_BYTES, MAX_SENDS_PER_ATTEMPT};
use decnet_sender::Sender;
use decnet_testkit::frames::{self, Answer, Peer};
use decnet_testkit::{Receiver, Step, reply};
use futures_util::future::join_all;

const IN_BUFFERS: u64 = 32 * 1024 * 1024;
const HEADERS: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn receiver_and_sender(peer: Peer) -> (Receiver, Sender) {
    let receiver = Receiver::builder().tls(&["127.0.0.1"]).frames(peer).start();
    let sender = sender_trusting(&receiver);
    (receiver, sender)
}

fn ok(stream: u32) -> Answer {
    Answer::Send(frames::head(stream, 200, true))
}

#[test]
fn refused_stream_is_sent_again_at_once() {
    let (receiver, sender) = receiver_and_sender(Peer::answering(|event| match event.stream {
        1 => Answer::Send(frames::reset(1, frames::REFUSED_STREAM)),
        stream => ok(stream),
    }));
    let attempted = send_once(&sender, &receiver.url("/"));
    assert_status(&attempted, 200);
    assert_eq!((attempted.repeats, receiver.count(), receiver.connections()), (1, 2, 1));
}

#[test]
fn endless_refusals_are_a_failure() {
    let (receiver, sender) = receiver_and_sender(Peer::answering(|event| {
        Answer::Send(frames::reset(event.stream, frames::REFUSED_STREAM))
    }));
    let attempted = send_once(&sender, &receiver.url("/"));
    let text = "the receiver refused the request without processing it (HTTP/2 REFUSED_STREAM)";
    assert_failed(&attempted, Reason::Disconnected, text);
    assert_eq!(receiver.count(), u64::from(MAX_SENDS_PER_ATTEMPT));
}

/// The first stream gets a reply; later ones move to another connection.
#[test]
fn streams_after_a_goaway_are_sent_again_at_once() {
    let (receiver, sender) =
        receiver_and_sender(Peer::answering(|event| match (event.connection, event.stream) {
            (1, 1 | 3) => Answer::Send(Vec::new()),
            (1, stream) => {
                let go_away = frames::go_away(1, frames::NO_ERROR);
                Answer::Send([go_away, frames::head(1, 200, true), frames::head(stream, 500, true)].concat())
            }
            (_, stream) => ok(stream),
        }));
    let target = target(&receiver.url("/"));
    let attempted = run(async { join_all((0..3).map(|_| send(&sender, &target))).await });
    let mut repeats: Vec<u8> = attempted.iter().map(|attempted| attempted.repeats).collect();
    repeats.sort_unstable();
    assert_eq!(repeats, [0, 1, 1]);
    attempted.iter().for_each(|attempted| assert_status(attempted, 200));
    assert_eq!((receiver.count(), receiver.connections()), (5, 2));
}

#[test]
fn stream_that_may_have_been_processed_is_not_sent_again() {
    const INTERNAL_ERROR: u32 = 2;
    let (receiver, sender) = receiver_and_sender(Peer::answering(|event| {
        Answer::Send(frames::reset(event.stream, INTERNAL_ERROR))
    }));
    let attempted = send_once(&sender, &receiver.url("/"));
    let text = "no reply: the receiver reports an internal error";
    assert_failed(&attempted, Reason::Disconnected, text);
    assert_eq!((attempted.repeats, receiver.count()), (0, 1));
}

/// The receiver would refuse a burst of more than four requests on a fresh connection.
#[test]
fn stream_limit_is_respected_from_the_start() {
    let script = reply(200).delay(Duration::from_millis(5));
    let receiver = Receiver::builder().script(script).tls(&["127.0.0.1"]).max_streams(4).start();
    let (sender, target) = (sender_trusting(&receiver), target(&receiver.url("/")));
    run(async {
        for attempted in join_all((0..64).map(|_| send(&sender, &target))).await {
            assert_status(&attempted, 200);
            assert_eq!(attempted.repeats, 0);
        }
    });
    assert_eq!((receiver.count(), receiver.connections()), (64, 1));
}

/// The h2 crate reports headers slightly over the limit and malformed headers alike.
#[test]
fn invalid_headers_are_reported_with_limit_and_rule() {
    let large = Receiver::builder().script(Step::HugeHeader(40 * 1024)).tls(&["127.0.0.1"]).start();
    let (malformed, _) = receiver_and_sender(Peer::answering(|event| {
        // `:status: 200` and a literal field (RFC 7541 section 6).
        let block = [b"\x88\0\x0aconnection".as_slice(), b"\x05close"].concat();
        Answer::Send(frames::frame(HEADERS, END_STREAM | END_HEADERS, event.stream, &block))
    }));
    for receiver in [large, malformed] {
        let attempted = send_once(&sender_trusting(&receiver), &receiver.url("/"));
        let text = "the reply's headers are too large (more than 32768 bytes) or malformed (HTTP/2 forbids `connection` and \
                    `transfer-encoding`, for example)";
        assert_failed(&attempted, Reason::Protocol, text);
        assert_eq!((attempted.repeats, receiver.count()), (0, 1));
    }
}

#[test]
fn receiver_that_requires_http1_gets_it() {
    let (receiver, sender) = receiver_and_sender(Peer::answering(|event| {
        Answer::Send(frames::reset(event.stream, frames::HTTP_1_1_REQUIRED))
    }));
    let target = target(&receiver.url("/"));
    run(async {
        for repeats in [1, 0, 0] {
            let attempted = send(&sender, &target).await;
            assert_status(&attempted, 200);
            assert_eq!(attempted.repeats, repeats);
        }
    });
    let versions: Vec<bool> = receiver.requests().iter().map(|request| request.http2).collect();
    assert_eq!((versions, receiver.connections()), (vec![true, false, false, false], 2));
}

/// Returns the kinds of frames that a receiver may send unsolicited and without limit.
fn floods(stream: u32) -> Vec<Vec<u8>> {
    vec![
        frames::ping(),
        frames::settings(&[]),
        frames::window_update(0, 1),
        frames::frame(0xbe, 0, 0, b"unknown type"),
        frames::data(stream, b"", false),
        frames::head(stream, 103, false),
    ]
}

/// Asserts that the connection was closed before the receiver could send more than the bound.
fn assert_bounded(receiver: &Receiver) {
    let sent = receiver.body_bytes_sent();
    assert!(sent < MAX_REPLY_WIRE_BYTES as u64 + IN_BUFFERS, "{sent} bytes");
}

#[test]
fn flood_on_an_idle_connection_closes_it_and_forces_http1() {
    for flood in 0..floods(1).len() {
        let (receiver, sender) = receiver_and_sender(Peer::answering(move |event| {
            let frames = floods(event.stream)[flood].repeat(100);
            Answer::Flood(frames::head(event.stream, 200, true), frames)
        }));
        let target = target(&receiver.url("/"));
        // Frames on a closed stream are a protocol error, after which the sender keeps HTTP/2.
        let is_error = flood >= 4;
        run(async {
            assert_status(&send(&sender, &target).await, 200);
            assert!(receiver.has_open(0, LONG).await, "flood {flood} is not closed");
            for _ in 0..3 {
                let attempted = send(&sender, &target).await;
                assert_status(&attempted, 200);
                assert!(is_error || attempted.repeats == 0, "flood {flood}: {attempted:?}");
            }
        });
        assert_bounded(&receiver);
        let versions: Vec<bool> = receiver.requests().iter().map(|request| request.http2).collect();
        assert!(is_error || versions == [true, false, false, false], "flood {flood}: {versions:?}");
    }
}

#[test]
fn flood_instead_of_a_reply_is_a_failure() {
    for flood in 0..floods(1).len() {
        let (receiver, sender) = receiver_and_sender(Peer::answering(move |event| {
            Answer::Flood(Vec::new(), floods(event.stream)[flood].repeat(100))
        }));
        let target = target(&receiver.url("/"));
        run(async {
            let attempted = send(&sender, &target).await;
            let is_data = flood == 4;
            let text = if is_data {
                "HTTP/2"
            } else {
                "the receiver sent more data over HTTP/2 than replies may hold"
            };
            assert_failed(&attempted, Reason::Protocol, text);
            assert!(is_data || receiver.has_open(0, LONG).await);
        });
        assert_bounded(&receiver);
    }
}

/// Frames of ordinary traffic do not exhaust the bound.
#[test]
fn frequent_control_frames_keep_the_connection() {
    let (receiver, sender) = receiver_and_sender(Peer::answering(|event| {
        let control_frames =
            [frames::ping(), frames::window_update(0, 1), frames::settings(&[])].concat().repeat(20);
        let body = frames::data(event.stream, &[b'x'; 4096], true);
        Answer::Send(
            [
                control_frames,
                frames::head(event.stream, 103, false),
                frames::head(event.stream, 200, false),
                body,
            ]
            .concat(),
        )
    }));
    let target = target(&receiver.url("/"));
    run(async {
        for _ in 0..300 {
            let attempted = send(&sender, &target).await;
            assert_status(&attempted, 200);
            assert_eq!(attempted.reply.len(), 4096);
        }
    });
    assert_eq!((receiver.count(), receiver.connections()), (300, 1));
}
