//! Connections are reused, and only for their own origin.

use std::time::Duration;

use crate::support::*;
use decnet_core::delivery::{Outcome, Reason};
use decnet_dispatch::sender::{Options, Sender};
use decnet_testkit::{Receiver, Step, reply};
use futures_util::future::join_all;

#[test]
fn requests_in_a_row_share_one_connection() {
    let receiver = Receiver::start(reply(200).body("ok"));
    let (sender, target) = (sender(), target(&receiver.url("/")));
    run(async {
        for _ in 0..50 {
            assert_status(&send(&sender, &target).await, 200);
        }
    });
    assert_eq!((receiver.count(), receiver.connections()), (50, 1));
}

#[test]
fn requests_at_once_take_as_many_connections_as_there_are_at_once() {
    let receiver = Receiver::start(reply(200).delay(Duration::from_millis(20)));
    let (sender, target) = (sender(), target(&receiver.url("/")));
    run(async {
        for _ in 0..5 {
            for attempted in join_all((0..8).map(|_| send(&sender, &target))).await {
                assert_status(&attempted, 200);
            }
        }
    });
    assert_eq!(receiver.count(), 40);
    assert_eq!(receiver.connections(), 8);
}

#[test]
fn no_more_idle_connections_are_kept_than_allowed() {
    let receiver = Receiver::start(reply(200).delay(Duration::from_millis(20)));
    let sender = Sender::new(Options { max_idle_per_receiver: 2, ..options() }).unwrap();
    let target = target(&receiver.url("/"));
    run(async {
        join_all((0..8).map(|_| send(&sender, &target))).await;
        assert!(receiver.has_open(2, LONG).await, "{} open", receiver.open_connections());
    });
}

#[test]
fn idle_connections_age_out() {
    let receiver = Receiver::start(reply(200));
    let sender = Sender::new(Options { idle_age: Duration::from_millis(50), ..options() }).unwrap();
    run(async {
        assert_status(&send(&sender, &target(&receiver.url("/"))).await, 200);
        assert!(receiver.has_open(0, LONG).await);
        assert_status(&send(&sender, &target(&receiver.url("/"))).await, 200);
    });
    assert_eq!(receiver.connections(), 2);
}

/// No connection is ever idle for long, so that only its age can end it.
#[test]
fn a_busy_connection_is_replaced_when_it_is_old() {
    let receiver = Receiver::start(reply(200));
    let options = Options { max_connection_age: Duration::from_millis(50), ..options() };
    let (sender, target) = (Sender::new(options).unwrap(), target(&receiver.url("/")));
    run(async {
        while receiver.connections() < 4 {
            assert_status(&send(&sender, &target).await, 200);
            assert!(receiver.open_connections() <= 2, "the old one is closed");
        }
    });
    assert!(receiver.count() > 4, "each served more than one request: {}", receiver.count());
}

#[test]
fn a_connection_that_is_not_old_is_kept() {
    let receiver = Receiver::start(reply(200));
    let options = Options { max_connection_age: LONG, ..options() };
    let (sender, target) = (Sender::new(options).unwrap(), target(&receiver.url("/")));
    run(async {
        for _ in 0..50 {
            assert_status(&send(&sender, &target).await, 200);
        }
    });
    assert_eq!(receiver.connections(), 1);
}

#[test]
fn an_idle_connection_makes_room_for_another_receiver() {
    let receivers: Vec<Receiver> = (0..5).map(|_| Receiver::start(reply(200))).collect();
    let sender = Sender::new(Options { max_sockets: 2, ..options() }).unwrap();
    let open = || receivers.iter().map(Receiver::open_connections).sum::<usize>();
    run(async {
        for receiver in receivers.iter().cycle().take(20) {
            assert_status(&send(&sender, &target(&receiver.url("/"))).await, 200);
        }
        let settled = async {
            while open() > 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LONG, settled).await.unwrap();
    });
}

/// The receiver is not reached, and not blamed.
#[test]
fn a_request_without_a_socket_is_a_fault_of_this_host() {
    let (hanging, other) = (Receiver::start(Step::Hang), Receiver::start(reply(200)));
    let sender = Sender::new(Options { max_sockets: 1, ..options() }).unwrap();
    run(async {
        let (event, at) = (event("e"), now());
        let (busy, waiting) = (target(&hanging.url("/")), target(&other.url("/")));
        let mut first = Box::pin(sender.send(&busy, &event, at));
        tokio::select! {
            attempted = &mut first => panic!("{attempted:?}"),
            reached = hanging.reached(1, LONG) => assert!(reached),
        }
        let second = send(&sender, &waiting).await;
        assert_eq!(second.outcome, Outcome::LocalFault, "{second:?}");
        let detail = second.detail.unwrap();
        assert!(detail.starts_with("all 1 sockets that requests may use are in use"), "{detail}");
        drop(first);
        assert_status(&send(&sender, &waiting).await, 200);
    });
    assert_eq!(other.connections(), 1);
}

/// The receiver hangs up while the sender's thread is busy, so the sender cannot have noticed. (The nap makes
/// it a connection that has waited; one used within the last 100 ms is not looked at again.)
#[test]
fn a_stale_connection_is_replaced_and_the_receiver_sees_one_post() {
    let receiver = Receiver::start(reply(200));
    let (sender, target) = (sender(), target(&receiver.url("/")));
    run(async {
        for round in 1..=5 {
            assert_status(&send(&sender, &target).await, 200);
            assert_eq!(receiver.count(), round);
            std::thread::sleep(Duration::from_millis(110));
            receiver.hang_up();
        }
    });
    assert_eq!((receiver.count(), receiver.connections()), (5, 5));
}

#[test]
fn a_receiver_that_closes_after_each_reply_gets_every_request_once() {
    for reply in [reply(200).then_close(), reply(200).header("connection", "close").then_close()] {
        let receiver = Receiver::start(reply);
        let (sender, target) = (sender(), target(&receiver.url("/")));
        run(async {
            for _ in 0..20 {
                assert_status(&send(&sender, &target).await, 200);
                assert!(receiver.has_open(0, LONG).await);
                // The end is in the socket; a turn of the reactor, as between any two events, tells of it.
                tokio::task::yield_now().await;
            }
        });
        assert_eq!(receiver.count(), 20);
    }
}

/// Two hosts on one address and port: each has its own connection, under its own certificate's name.
#[test]
fn connections_belong_to_a_host_and_not_to_an_address() {
    let receiver = Receiver::builder().tls(&["a.test", "b.test"]).http1_only().start();
    let only_a = Receiver::builder().tls(&["a.test"]).start();
    let options = Options {
        resolver: resolver(&[("a.test", &["127.0.0.1"]), ("b.test", &["127.0.0.1"])]),
        extra_roots: roots(&[&receiver, &only_a]),
        ..options()
    };
    let sender = Sender::new(options).unwrap();
    run(async {
        for host in ["a.test", "b.test", "a.test", "b.test"] {
            assert_status(&send(&sender, &target(&receiver.url_for(host, "/"))).await, 200);
        }
        let requests = receiver.requests();
        let used: Vec<u64> = requests.iter().map(|request| request.connection).collect();
        assert_eq!(used, [1, 2, 1, 2]);

        // `b.test` may not ride on the connection that `a.test` has opened: there it would be answered.
        assert_status(&send(&sender, &target(&only_a.url_for("a.test", "/"))).await, 200);
        let b = send(&sender, &target(&only_a.url_for("b.test", "/"))).await;
        assert_failed(&b, Reason::Tls, "the certificate is for a.test, and b.test was expected");
    });
    assert_eq!(only_a.count(), 1);
}

#[test]
fn dropping_an_attempt_closes_its_connection() {
    let receiver = Receiver::start(Step::Hang);
    let (sender, target) = (sender(), target(&receiver.url("/")));
    run(async {
        let (event, at) = (event("e"), now());
        let mut attempt = Box::pin(sender.send(&target, &event, at));
        tokio::select! {
            attempted = &mut attempt => panic!("{attempted:?}"),
            reached = receiver.reached(1, LONG) => assert!(reached),
        }
        assert_eq!(receiver.open_connections(), 1);
        drop(attempt);
        assert!(receiver.has_open(0, LONG).await);
        receiver.set(reply(200));
        assert_status(&send(&sender, &target).await, 200);
    });
}

#[test]
fn dropping_the_sender_closes_its_connections() {
    let receiver = Receiver::start(reply(200));
    run(async {
        let sender = sender();
        assert_status(&send(&sender, &target(&receiver.url("/"))).await, 200);
        assert_eq!(receiver.open_connections(), 1);
        drop(sender);
        assert!(receiver.has_open(0, LONG).await);
    });
}
