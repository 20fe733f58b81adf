//! Reuse, age and number of connections; each belongs to one origin.

use std::time::Duration;

use crate::support::*;
use decnet_core::delivery::{Outcome, Reason};
use decnet_sender::{Options, Sender};
use decnet_testkit::{Receiver, Step, reply};
use futures_util::future::join_all;

#[test]
fn sequential_requests_share_one_connection() {
    let receiver = Receiver::start(reply(200).body("ok"));
    let (sender, target) = sender_to(&receiver);
    run(async {
        for _ in 0..50 {
            assert_status(&send(&sender, &target).await, 200);
        }
    });
    assert_eq!((receiver.count(), receiver.connections()), (50, 1));
}

#[test]
fn concurrent_requests_use_one_connection_each() {
    let receiver = Receiver::start(reply(200).delay(Duration::from_millis(20)));
    let (sender, target) = sender_to(&receiver);
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
fn idle_connections_are_bounded() {
    let receiver = Receiver::start(reply(200).delay(Duration::from_millis(20)));
    let sender = Sender::new(Options { max_idle_per_receiver: 2, ..options() });
    let target = target(&receiver.url("/"));
    run(async {
        join_all((0..8).map(|_| send(&sender, &target))).await;
        assert!(receiver.has_open(2, LONG).await, "{} open", receiver.open_connections());
    });
}

#[test]
fn idle_connections_expire() {
    let receiver = Receiver::start(reply(200));
    let sender = Sender::new(Options { idle_age: Duration::from_millis(50), ..options() });
    run(async {
        assert_status(&send(&sender, &target(&receiver.url("/"))).await, 200);
        assert!(receiver.has_open(0, LONG).await);
        assert_status(&send(&sender, &target(&receiver.url("/"))).await, 200);
    });
    assert_eq!(receiver.connections(), 2);
}

/// The connection is never idle for long, so only its age can end it.
#[test]
fn busy_connection_is_replaced_at_its_maximum_age() {
    let receiver = Receiver::start(reply(200));
    let options = Options { max_connection_age: Duration::from_millis(50), ..options() };
    let (sender, target) = (Sender::new(options), target(&receiver.url("/")));
    run(async {
        while receiver.connections() < 4 {
            assert_status(&send(&sender, &target).await, 200);
            assert!(receiver.open_connections() <= 2, "the old one is closed");
        }
    });
    assert!(receiver.count() > 4, "connections are reused: {} requests", receiver.count());
}

#[test]
fn young_connection_is_kept() {
    let receiver = Receiver::start(reply(200));
    let options = Options { max_connection_age: LONG, ..options() };
    let (sender, target) = (Sender::new(options), target(&receiver.url("/")));
    run(async {
        for _ in 0..50 {
            assert_status(&send(&sender, &target).await, 200);
        }
    });
    assert_eq!(receiver.connections(), 1);
}

#[test]
fn idle_connection_is_closed_for_another_receiver() {
    let receivers: Vec<Receiver> = (0..5).map(|_| Receiver::start(reply(200))).collect();
    let sender = Sender::new(Options { max_sockets: 2, ..options() });
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

/// The failure is not attributed to the receiver, which is not reached.
#[test]
fn request_without_a_free_socket_is_a_local_fault() {
    let (hanging, other) = (Receiver::start(Step::Hang), Receiver::start(reply(200)));
    let sender = Sender::new(Options { max_sockets: 1, ..options() });
    run(async {
        let (event, at) = (event("e"), now());
        let (busy, waiting) = (target(&hanging.url("/")), target(&other.url("/")));
        let mut first = Box::pin(sender.send(&busy, &event, at));
        until_received(&mut first, &hanging, 1).await;
        let second = send(&sender, &waiting).await;
        assert_eq!(second.outcome, Outcome::LocalFault, "{second:?}");
        let detail = second.detail.unwrap();
        assert!(detail.starts_with("all 1 sockets that requests may use are in use"), "{detail}");
        drop(first);
        assert_status(&send(&sender, &waiting).await, 200);
    });
    assert_eq!(other.connections(), 1);
}

/// The receiver closes the connection while the sender's thread is blocked, so the sender cannot notice it. The
/// sleep is longer than 100 ms because the sender does not check a connection that it used more recently.
#[test]
fn stale_connection_is_replaced_without_a_second_post() {
    let receiver = Receiver::start(reply(200));
    let (sender, target) = sender_to(&receiver);
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
fn closing_receiver_gets_each_request_once() {
    for reply in [reply(200).then_close(), reply(200).header("connection", "close").then_close()] {
        let receiver = Receiver::start(reply);
        let (sender, target) = sender_to(&receiver);
        run(async {
            for _ in 0..20 {
                assert_status(&send(&sender, &target).await, 200);
                assert!(receiver.has_open(0, LONG).await);
                // Lets the reactor see the end of the connection.
                tokio::task::yield_now().await;
            }
        });
        assert_eq!(receiver.count(), 20);
    }
}

/// Two hosts share an address and a port; each has its own connection, verified for its own name.
#[test]
fn connections_are_keyed_by_host_not_by_address() {
    let receiver = Receiver::builder().tls(&["a.test", "b.test"]).http1_only().start();
    let only_a = Receiver::builder().tls(&["a.test"]).start();
    let options = Options {
        resolver: resolver(&[("a.test", &["127.0.0.1"]), ("b.test", &["127.0.0.1"])]),
        extra_roots: roots(&[&receiver, &only_a]),
        ..options()
    };
    let sender = Sender::new(options);
    run(async {
        for host in ["a.test", "b.test", "a.test", "b.test"] {
            assert_status(&send(&sender, &target(&receiver.url_for(host, "/"))).await, 200);
        }
        let requests = receiver.requests();
        let used: Vec<u64> = requests.iter().map(|request| request.connection).collect();
        assert_eq!(used, [1, 2, 1, 2]);

        // A connection opened for `a.test` would answer, but must not be used for `b.test`.
        assert_status(&send(&sender, &target(&only_a.url_for("a.test", "/"))).await, 200);
        let b = send(&sender, &target(&only_a.url_for("b.test", "/"))).await;
        assert_failed(&b, Reason::Tls, "the certificate is for a.test, and b.test was expected");
    });
    assert_eq!(only_a.count(), 1);
}

#[test]
fn dropping_an_attempt_closes_its_connection() {
    let receiver = Receiver::start(Step::Hang);
    let (sender, target) = sender_to(&receiver);
    run(async {
        let (event, at) = (event("e"), now());
        let mut attempt = Box::pin(sender.send(&target, &event, at));
        until_received(&mut attempt, &receiver, 1).await;
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
