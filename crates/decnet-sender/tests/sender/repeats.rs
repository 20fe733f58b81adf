//! Repeats: a request lost on a reused connection is sent again once, within the attempt; no other request is.

use crate::support::*;
use decnet_core::delivery::Reason;
use decnet_sender::{Options, Sender};
use decnet_testkit::frames::{self, Answer, Peer};
use decnet_testkit::{Receiver, Script, Step, reply};

fn steps<const N: usize>(steps: [Step; N]) -> Receiver {
    Receiver::start(Script::steps(steps))
}

fn ok() -> Step {
    reply(200).into()
}

/// Closes the connection once the request has been read.
fn close() -> Step {
    Step::Close("".into())
}

#[test]
fn request_on_a_lost_reused_connection_is_sent_again() {
    for lost in [Step::Reset, close()] {
        let receiver = steps([ok(), lost, ok()]);
        let (sender, target) = sender_to(&receiver);
        run(async {
            assert_eq!(send(&sender, &target).await.repeats, 0);
            let attempted = send(&sender, &target).await;
            assert_status(&attempted, 200);
            assert_eq!((attempted.repeats, attempted.detail), (1, None));
        });
        let requests = receiver.requests();
        assert_eq!((requests.len(), receiver.connections()), (3, 2));
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            assert_eq!(requests[1].header(name), requests[2].header(name), "{name}");
        }
        assert_eq!(requests[1].body, requests[2].body);
    }
}

#[test]
fn request_lost_on_a_fresh_connection_is_not_sent_again() {
    for lost in [Step::Reset, close()] {
        let receiver = steps([lost, ok()]);
        let attempted = run(send_to(&receiver));
        assert_failed(&attempted, Reason::Disconnected, "before");
        assert_eq!((attempted.repeats, receiver.count()), (0, 1));
    }
}

#[test]
fn request_is_repeated_at_most_once() {
    let receiver = steps([ok(), Step::Reset, Step::Reset, ok()]);
    let (sender, target) = sender_to(&receiver);
    run(async {
        assert_status(&send(&sender, &target).await, 200);
        let attempted = send(&sender, &target).await;
        assert_failed(&attempted, Reason::Disconnected, "before the reply");
        assert_eq!((attempted.repeats, receiver.count()), (1, 3));
    });
}

/// The receiver has started to reply, so it has read the request.
#[test]
fn request_whose_reply_has_begun_is_not_sent_again() {
    for lost in [
        Step::Close("HTTP/1.1 200 OK\r\ncontent-le".into()),
        Step::Close("HTTP/1.1 100 Continue\r\n\r\n".into()),
    ] {
        let receiver = steps([ok(), lost, ok()]);
        let (sender, target) = sender_to(&receiver);
        run(async {
            assert_status(&send(&sender, &target).await, 200);
            let attempted = send(&sender, &target).await;
            assert_failed(&attempted, Reason::Disconnected, "closed the connection before its reply");
            assert_eq!((attempted.repeats, receiver.count()), (0, 2));
        });
    }
}

#[test]
fn repeat_counts_towards_the_deadline() {
    let receiver = steps([ok(), Step::Reset, Step::Hang]);
    let (sender, target) = (hasty_sender(), target(&receiver.url("/")));
    run(async {
        assert_status(&send(&sender, &target).await, 200);
        let attempted = send(&sender, &target).await;
        assert_failed(&attempted, Reason::Timeout, "no reply within 400 ms");
        assert_eq!((attempted.repeats, receiver.count()), (1, 3));
    });
}

#[test]
fn repeat_needs_no_second_socket() {
    let receiver = steps([ok(), Step::Reset, ok()]);
    let sender = Sender::new(Options { max_sockets: 1, ..options() });
    let target = target(&receiver.url("/"));
    run(async {
        for repeats in [0, 1] {
            let attempted = send(&sender, &target).await;
            assert_status(&attempted, 200);
            assert_eq!(attempted.repeats, repeats);
        }
    });
}

#[test]
fn repeat_that_cannot_connect_is_a_failure() {
    let receiver = steps([ok(), Step::Hang]);
    let (sender, target) = sender_to(&receiver);
    run(async {
        assert_status(&send(&sender, &target).await, 200);
        let (event, at) = (event("e"), now());
        let mut attempt = Box::pin(sender.send(&target, &event, at));
        until_received(&mut attempt, &receiver, 2).await;
        drop(receiver);
        let attempted = attempt.await;
        assert_failed(&attempted, Reason::Connect, "connection refused");
        assert_eq!(attempted.repeats, 0, "nothing was sent again");
    });
}

#[test]
fn request_on_a_lost_http2_connection_is_sent_again() {
    let peer = Peer::answering(|event| match (event.connection, event.stream) {
        (1, 3) => Answer::Close(Vec::new()),
        (_, stream) => Answer::Send(frames::head(stream, 200, true)),
    });
    let receiver = Receiver::builder().tls(&["127.0.0.1"]).frames(peer).start();
    let sender = sender_trusting(&receiver);
    let target = target(&receiver.url("/"));
    run(async {
        for repeats in [0, 1, 0] {
            let attempted = send(&sender, &target).await;
            assert_status(&attempted, 200);
            assert_eq!(attempted.repeats, repeats);
        }
    });
    assert_eq!((receiver.count(), receiver.connections()), (4, 2));
}
