//! Numbered events, to detect missing, repeated and reordered ones.

use decnet_bus::{Client, ClientError, Received};
use serde_json::json;

use super::{TestBus, payload, soon};

/// Publishes `numbers` on `topic`, each in about `bytes` bytes. Returns once the bus has read all numbers.
pub(crate) async fn publish(
    bus: &mut TestBus,
    topic: &str,
    numbers: impl IntoIterator<Item = usize>,
    bytes: usize,
) {
    let mut publisher = Client::connect(&bus.path, "publisher").await.unwrap();
    feed(&mut publisher, topic, numbers, bytes).await;
    soon(bus.settle_client(&mut publisher)).await;
}

pub(crate) async fn feed(
    publisher: &mut Client,
    topic: &str,
    numbers: impl IntoIterator<Item = usize>,
    bytes: usize,
) {
    let padding = "x".repeat(bytes);
    for n in numbers {
        publisher.sender.feed(topic, "t", &json!({"n": n, "padding": padding})).await.unwrap();
    }
    publisher.sender.flush().await.unwrap();
}

/// Connects a reader that has subscribed.
pub(crate) async fn reader(bus: &mut TestBus, name: &str, pattern: &str) -> Client {
    let mut client = Client::connect(&bus.path, name).await.unwrap();
    client.subscribe(pattern).await.unwrap();
    bus.settle_client(&mut client).await;
    client
}

/// Reads until the number `last` arrives.
pub(crate) async fn numbers(client: &mut Client, last: usize) -> Vec<usize> {
    let mut numbers = Vec::new();
    while numbers.last() != Some(&last) {
        let mut received = Vec::new();
        soon(client.recv_batch(&mut received)).await.unwrap();
        numbers.extend(received.iter().map(number));
    }
    numbers
}

/// Reads until the bus has closed the connection.
pub(crate) async fn numbers_until_closed(receiver: &mut decnet_bus::Receiver) -> Vec<usize> {
    let mut received = Vec::new();
    loop {
        match soon(receiver.recv_batch(&mut received)).await {
            Ok(()) => {}
            Err(ClientError::Closed) => return received.iter().map(number).collect(),
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) fn number(event: &Received) -> usize {
    usize::try_from(payload(event)["n"].as_u64().unwrap()).unwrap()
}

pub(crate) fn all(to: usize) -> Vec<usize> {
    (0..to).collect()
}

/// Returns the missing numbers below the last number, as ranges. Asserts that no number arrived twice or out of order.
pub(crate) fn gaps(numbers: &[usize]) -> Vec<std::ops::Range<usize>> {
    let mut next = 0;
    let mut gaps = Vec::new();
    for n in numbers {
        assert!(*n >= next, "{n} arrived twice or late");
        if *n > next {
            gaps.push(next..*n);
        }
        next = n + 1;
    }
    gaps
}
