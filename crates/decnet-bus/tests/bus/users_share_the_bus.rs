//! No user and no silent connection can take the bus's resources from the others.
//!
//! All tests run as one user. A test that acts as another user configures the bus to trust no user.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::common::numbered::{numbers, publish, reader};
use crate::common::{Peer, TestBus, soon};
use decnet_bus::{Client, ClientError, FrameTimeouts, LOSSLESS_CLIENT_NAME, Notice, ServerOptions, Users};
use decnet_core::limits::{
    MAX_BUS_CONNECTIONS, MAX_LOSSLESS_CONNECTIONS, MAX_OUTBOUND_BYTES, RESERVED_BUS_CONNECTIONS,
    RESERVED_LOSSLESS_CONNECTIONS,
};
use rustix::process::geteuid;

const MIB: usize = 1 << 20;

fn trust_no_user(options: &mut ServerOptions) {
    options.users = Users { trusted: BTreeSet::new(), lossless: BTreeSet::new() };
}

fn trust_for_lossless(options: &mut ServerOptions) {
    options.users = Users { trusted: BTreeSet::new(), lossless: [geteuid().as_raw()].into() };
}

/// Connects with notices as `name`. Returns the connection and its first notice.
pub(crate) async fn connect_with_notices(bus: &Path, name: &str) -> (Client, Notice) {
    let mut client = Client::connect(bus, name).await.unwrap();
    client.sender.enqueue_greeting_for_notices(name).unwrap();
    client.sender.flush().await.unwrap();
    let mut received = Vec::new();
    soon(client.recv_batch(&mut received)).await.unwrap();
    let notice = client.receiver.notice().expect("the bus sends a notice").clone();
    (client, notice)
}

#[tokio::test]
async fn one_user_gets_half_of_the_connections() {
    let bus = TestBus::start_as(trust_no_user).await;
    let share = (MAX_BUS_CONNECTIONS - RESERVED_BUS_CONNECTIONS) / 2;
    let mut peers = Vec::new();
    // The test bus itself holds one connection.
    for _ in 1..share {
        let mut peer = bus.peer().await;
        peer.send("HELLO", "idle", b"").await;
        peers.push(peer);
    }
    let mut refused = bus.peer().await;
    assert_eq!(refused.recv().await, Some(("BYE".to_owned(), Vec::new())), "sent at once");
    assert_eq!(refused.recv().await, None);
    drop(peers.pop());
    // The bus notices the closed connection asynchronously.
    loop {
        let mut next = bus.peer().await;
        next.send("HELLO", "next", b"{\"notices\":true}").await;
        if next.recv().await.is_some_and(|(header, _)| header == "HELLO decnet-bus") {
            break;
        }
    }
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let first_frame = Duration::from_millis(300);
    let mut bus = TestBus::start_as(|options| {
        options.timeouts = FrameTimeouts { first_frame, ..FrameTimeouts::default() };
    })
    .await;
    let mut speaking = Peer::subscribed(&mut bus, &["a"]).await;
    let (mut silent, mut halting) = (bus.peer().await, bus.peer().await);
    halting.raw(b"HELL").await;
    assert_eq!((silent.recv().await, halting.recv().await), (None, None));
    bus.peer().await.send("PUB", "a", b"").await;
    speaking.expect_only("a").await;
}

#[tokio::test]
async fn a_stalled_large_frame_closes_the_connection() {
    let large_frame = Duration::from_millis(300);
    let mut bus = TestBus::start_as(|options| {
        options.timeouts = FrameTimeouts { large_frame, ..FrameTimeouts::default() };
    })
    .await;
    let mut reader = Peer::subscribed(&mut bus, &["a"]).await;
    let (mut small, mut stalled) = (bus.peer().await, bus.peer().await);
    for (peer, begun) in
        [(&mut small, &b"PUB a\n\0\0\0\x02{"[..]), (&mut stalled, b"PUB a\n\0\x0f\0\0{\"payload\":")]
    {
        peer.send("HELLO", "slow", b"").await;
        peer.raw(begun).await;
    }
    assert_eq!(stalled.recv().await, None);
    small.raw(b"}").await;
    reader.expect_only("a").await;
}

#[tokio::test]
async fn more_large_frames_than_permits_all_arrive() {
    let events = 100;
    let mut bus = TestBus::start().await;
    let mut watcher = reader(&mut bus, LOSSLESS_CLIENT_NAME, "n.>").await;
    let path = bus.path.clone();
    let publishers: Vec<_> = (0..events)
        .map(|n| {
            let path = path.clone();
            tokio::spawn(async move {
                let mut publisher = Client::connect(&path, "publisher").await.unwrap();
                let payload = serde_json::json!({"n": n, "padding": "x".repeat(MIB / 2)});
                publisher.publish("n.x", "", &payload).await.unwrap();
                publisher.close().await.unwrap();
            })
        })
        .collect();
    let mut arrived = Vec::new();
    while arrived.len() < events {
        let mut received = Vec::new();
        soon(watcher.recv_batch(&mut received)).await.unwrap();
        arrived.extend(received.iter().map(crate::common::numbered::number));
    }
    arrived.sort_unstable();
    assert_eq!(arrived, crate::common::numbered::all(events));
    for publisher in publishers {
        soon(publisher).await.unwrap();
    }
}

#[tokio::test]
async fn waiting_events_are_bounded_in_bytes() {
    let events = 3 * MAX_OUTBOUND_BYTES / MIB;
    let mut bus = TestBus::start().await;
    let mut idle = reader(&mut bus, "idle", "n.>").await;
    publish(&mut bus, "n.x", 0..events, MIB / 2).await;
    let survived = numbers(&mut idle, events - 1).await;
    let bytes = survived.len() * MIB / 2;
    assert!(bytes > MAX_OUTBOUND_BYTES / 2 && bytes < MAX_OUTBOUND_BYTES + 2 * MIB, "{bytes}");
    let lost = u64::try_from(events - survived.len()).unwrap();
    assert_eq!(bus.losses().await.dropped_ordinary, lost);
}

#[tokio::test]
async fn notices_report_lost_events() {
    let events = 5000;
    let mut bus = TestBus::start().await;
    let (mut idle, notice) = connect_with_notices(&bus.path, "idle").await;
    assert_eq!(notice, Notice::default());
    idle.subscribe("n.>").await.unwrap();
    bus.settle_client(&mut idle).await;
    publish(&mut bus, "n.x", 0..events, 1000).await;
    let survived = numbers(&mut idle, events - 1).await;
    let lost = idle.receiver.notice().unwrap().lost;
    assert!(lost > 0);
    assert_eq!(usize::try_from(lost).unwrap() + survived.len(), events);
}

#[tokio::test]
async fn notices_are_sent_only_on_request() {
    let mut bus = TestBus::start().await;
    for name in ["decnet-watch", LOSSLESS_CLIENT_NAME] {
        let mut peer = bus.peer().await;
        peer.send("HELLO", name, b"").await;
        peer.send("SUB", "a", b"").await;
        bus.settle(&mut peer).await;
        bus.peer().await.send("PUB", "a", b"").await;
        peer.expect_only("a").await;
    }
}

#[tokio::test]
async fn other_users_get_no_lossless_queue_or_session() {
    let mut bus = TestBus::start_as(trust_no_user).await;
    let mut clients = Vec::new();
    for name in [LOSSLESS_CLIENT_NAME, "decnet-webhook lossless east"] {
        let (client, notice) = connect_with_notices(&bus.path, name).await;
        let uid = geteuid().as_raw().to_string();
        let refused = notice.refused.expect("the queue is refused");
        assert!(refused.contains(&uid) && refused.contains("may not"), "{refused}");
        clients.push(client);
    }
    let mut first = clients.remove(0);
    first.subscribe("n.>").await.unwrap();
    bus.settle_client(&mut first).await;
    drop(first);
    publish(&mut bus, "n.x", 0..10, 10).await;
    let mut second = reader(&mut bus, LOSSLESS_CLIENT_NAME, "n.>").await;
    publish(&mut bus, "n.x", [10], 10).await;
    assert_eq!(numbers(&mut second, 10).await, [10], "nothing was kept");
}

#[tokio::test]
async fn named_users_leave_a_reserve_to_trusted_ones() {
    let mut bus = TestBus::start_as(trust_for_lossless).await;
    let mut granted = Vec::new();
    for _ in RESERVED_LOSSLESS_CONNECTIONS..MAX_LOSSLESS_CONNECTIONS {
        let (client, notice) = connect_with_notices(&bus.path, LOSSLESS_CLIENT_NAME).await;
        assert_eq!(notice.refused, None);
        granted.push(client);
    }
    let (mut refused, notice) = connect_with_notices(&bus.path, LOSSLESS_CLIENT_NAME).await;
    assert!(notice.refused.is_some_and(|why| why.contains("taken")));
    // A queue is granted once one is free and HELLO is repeated.
    drop(granted);
    let mut received = Vec::new();
    loop {
        refused.sender.enqueue_greeting_for_notices(LOSSLESS_CLIENT_NAME).unwrap();
        refused.sender.flush().await.unwrap();
        soon(refused.recv_batch(&mut received)).await.unwrap();
        if refused.receiver.notice().unwrap().refused.is_none() {
            break;
        }
    }
    refused.subscribe("n.>").await.unwrap();
    bus.settle_client(&mut refused).await;
    drop(refused);
    publish(&mut bus, "n.x", 0..10, 10).await;
    let mut successor = Client::connect(&bus.path, LOSSLESS_CLIENT_NAME).await.unwrap();
    assert_eq!(numbers(&mut successor, 9).await.len(), 10, "a user resumes its own session");
}

#[tokio::test]
async fn a_full_bus_closes_the_connection_at_once() {
    let bus = TestBus::start_as(trust_no_user).await;
    let mut peers = Vec::new();
    loop {
        let mut client = match Client::connect(&bus.path, "many").await {
            Ok(client) => client,
            Err(ClientError::Refused(path)) => break assert_eq!(path, bus.path),
            Err(error) => panic!("{error}"),
        };
        client.sender.enqueue_greeting_for_notices("many").unwrap();
        let greeted = client.sender.flush().await;
        match soon(client.recv_batch(&mut Vec::new())).await {
            Ok(()) => {
                greeted.unwrap();
                peers.push(client);
            }
            Err(ClientError::Closed) => break assert!(client.receiver.notice().is_none()),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_user_that_does_not_exist_is_an_error() {
    let users = Users::default().with_lossless(&["root".into(), "4711".into()]).unwrap();
    assert!(users.lossless.contains(&4711) && users.trusted.contains(&0));
    let error = Users::default().with_lossless(&["no-such-user".into()]).unwrap_err();
    assert!(error.to_string().contains("no-such-user"), "{error}");
}
