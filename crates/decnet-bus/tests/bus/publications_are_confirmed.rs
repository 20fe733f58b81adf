//! The end of the stream after `BYE` confirms that the bus has read everything; any other end does not.
use std::time::Duration;

use crate::common::{TIMEOUT, TestBus, options, soon};
use decnet_bus::{Client, ClientError, Server};
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::{UnixListener, UnixStream};

/// Connects a client to the test, which plays the bus. Returns both ends of the connection.
async fn connected() -> (Client, UnixStream) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (client, accepted) = tokio::join!(Client::connect(&path, "publisher"), listener.accept());
    (client.unwrap(), accepted.unwrap().0)
}

async fn publish(client: &mut Client, events: usize) {
    for n in 0..events {
        client.sender.feed("n", "", &json!({ "n": n, "pad": "x".repeat(1000) })).await.unwrap();
    }
    client.sender.flush().await.unwrap();
}

#[tokio::test]
async fn events_after_a_confirmation_follow_on_the_bus() {
    let mut bus = TestBus::start().await;
    let mut reader = Client::connect(&bus.path, "reader").await.unwrap();
    for topic in ["n", "after"] {
        reader.subscribe(topic).await.unwrap();
    }
    bus.settle_client(&mut reader).await;
    for _ in 0..20 {
        let mut first = Client::connect(&bus.path, "publisher").await.unwrap();
        let mut second = Client::connect(&bus.path, "publisher").await.unwrap();
        publish(&mut first, 20).await;
        first.confirm(TIMEOUT).await.unwrap();
        second.publish("after", "", &json!({})).await.unwrap();
        let mut received = Vec::new();
        while received.len() < 21 {
            soon(reader.recv_batch(&mut received)).await.unwrap();
        }
        assert_eq!(received.iter().position(|event| event.topic == "after"), Some(20));
    }
}

#[tokio::test]
async fn an_early_close_fails_the_confirmation() {
    let (mut client, mut bus) = connected().await;
    publish(&mut client, 3).await;
    bus.read_exact(&mut [0; 100]).await.unwrap();
    drop(bus);
    let confirmed = soon(client.confirm(TIMEOUT)).await;
    assert!(matches!(confirmed, Err(ClientError::Unread)), "{confirmed:?}");
}

#[tokio::test]
async fn a_full_bus_fails_the_confirmation() {
    let (client, bus) = connected().await;
    drop(bus);
    let confirmed = soon(client.confirm(TIMEOUT)).await;
    assert!(matches!(confirmed, Err(ClientError::Unread)), "{confirmed:?}");
}

#[tokio::test]
async fn a_bus_that_does_not_read_fails_the_confirmation() {
    let (mut client, _bus) = connected().await;
    publish(&mut client, 1).await;
    let timeout = Duration::from_millis(50);
    let confirmed = soon(client.confirm(timeout)).await;
    assert!(matches!(confirmed, Err(ClientError::Unconfirmed(waited)) if waited == timeout), "{confirmed:?}");
}

#[tokio::test]
async fn arriving_events_do_not_delay_a_confirmation() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus.sock");
    let server = Server::bind(options(&path)).unwrap();
    let serving = tokio::spawn(server.run(Default::default()));
    let mut client = Client::connect(&path, "publisher").await.unwrap();
    client.subscribe(">").await.unwrap();
    let mut other = Client::connect(&path, "other").await.unwrap();
    publish(&mut other, 1000).await;
    publish(&mut client, 10).await;
    soon(client.confirm(TIMEOUT)).await.unwrap();
    serving.abort();
}
