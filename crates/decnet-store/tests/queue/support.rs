//! Queues, events and settlements for the tests.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use decnet_core::delivery::{Reason, State, Timings};
use decnet_core::event::Event;
use decnet_core::time::UnixMicros;
use decnet_store::queue::{
    Admission, Attempt, Claim, Claimed, Delivery, DeliveryId, Filter, Listed, Options, Queue, Reader,
    Recipient, Settlement, SubscriptionKey,
};
use rustc_hash::FxHashSet;

/// Longer than anything takes on the slowest machine.
pub(crate) const LONG: Duration = Duration::from_secs(120);

pub(crate) fn open(dir: &Path) -> Queue {
    Queue::open(dir, Options::default()).unwrap()
}

pub(crate) fn now() -> UnixMicros {
    UnixMicros(0).after(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap())
}

pub(crate) async fn subscriptions(queue: &Queue, count: usize) -> Vec<SubscriptionKey> {
    let named = |n| (format!("uuid-{n}").into(), format!("name-{n}").into());
    queue.register((0..count).map(named).collect()).await.unwrap()
}

pub(crate) fn event(n: usize) -> Event {
    event_of(n, 100)
}

pub(crate) fn event_of(n: usize, bytes: usize) -> Event {
    Event {
        id: format!("event-{n}").into(),
        topic: format!("decky.web-{n}.traffic").into(),
        body: Bytes::from(vec![b'x'; bytes]),
        at: UnixMicros(0),
        operational: false,
    }
}

pub(crate) fn admission(event: Event, to: &[SubscriptionKey], held: bool) -> Admission {
    let to = to.iter().map(|sub| Recipient { sub: *sub, held }).collect();
    Admission { event: Arc::new(event), to, submitted: None }
}

/// Admits events `range`, each to one subscription; the ids of the deliveries.
pub(crate) async fn admit(
    queue: &Queue,
    range: std::ops::Range<usize>,
    sub: SubscriptionKey,
    held: bool,
) -> Vec<DeliveryId> {
    let batch = range.map(|n| admission(event(n), &[sub], held)).collect();
    queue.admit(batch).await.unwrap().into_iter().map(|admitted| admitted.first).collect()
}

pub(crate) fn attempt(number: u32, started_at: UnixMicros, status: u16) -> Attempt {
    Attempt {
        number,
        started_at,
        duration: Duration::from_millis(3),
        status: Some(status),
        reason: (status >= 300).then_some(Reason::ServerError),
        detail: (status >= 300).then(|| "no luck".into()),
        reply: Bytes::from_static(b"a reply"),
        timings: Timings { first_byte: Some(Duration::from_micros(2500)), ..Timings::default() },
        repeats: 0,
    }
}

pub(crate) fn settlement(id: DeliveryId, number: u32, started_at: UnixMicros, state: State) -> Settlement {
    let status = if state == State::Delivered { 200 } else { 503 };
    Settlement { id, attempt: attempt(number, started_at, status), state }
}

/// Settles the first attempt of each.
pub(crate) async fn settle_all(queue: &Queue, ids: &[DeliveryId], at: UnixMicros, state: State) {
    let batch = ids.iter().map(|id| settlement(*id, 1, at, state)).collect();
    assert!(queue.settle(batch).await.unwrap().into_iter().all(|applied| applied));
}

pub(crate) async fn claim_all(queue: &Queue, sub: SubscriptionKey) -> Claimed {
    queue.claim(everything(sub)).await.unwrap()
}

/// A claim without bounds.
pub(crate) fn everything(sub: SubscriptionKey) -> Claim {
    let (exclude, now) = (FxHashSet::default(), now());
    Claim { sub, after: None, exclude, limit: usize::MAX, max_bytes: usize::MAX, now }
}

pub(crate) fn ids(deliveries: &[Delivery]) -> Vec<DeliveryId> {
    deliveries.iter().map(|delivery| delivery.id).collect()
}

pub(crate) fn list(dir: &Path) -> Vec<Listed> {
    Reader::open(dir).unwrap().list(&Filter::default()).unwrap()
}

pub(crate) fn file(dir: &Path) -> std::path::PathBuf {
    dir.join("queue.db")
}
