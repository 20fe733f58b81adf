//! Queues, events and settlements for the tests.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use decnet_core::delivery::{DeliveryStatus, Reason, State, Timings};
use decnet_core::event::Event;
use decnet_core::limits::MAX_FAN_OUT;
use decnet_core::time::UnixMicros;
use decnet_store::queue::{
    ActiveSubscriptions, Admission, Admitted, Attempt, Claim, Claimed, Delivery, DeliveryId, Error,
    ExternalWriter, Filter, IdempotencyKey, Listed, Options, Queue, Reader, Recipient, Retention, Settlement,
    Submission, Submitted, SubscriptionKey,
};
use rusqlite::Connection;
use rustc_hash::FxHashSet;
use tempfile::TempDir;

/// Longer than any step takes on the slowest machine.
pub(crate) const LONG: Duration = Duration::from_secs(120);

pub(crate) fn open(dir: &Path) -> Queue {
    Queue::open(dir, Options::default()).unwrap()
}

/// Opens a queue in a new directory and registers `N` subscriptions.
pub(crate) async fn new_queue<const N: usize>() -> (TempDir, Queue, [SubscriptionKey; N]) {
    new_queue_with(Options::default()).await
}

pub(crate) async fn new_queue_with<const N: usize>(
    options: Options,
) -> (TempDir, Queue, [SubscriptionKey; N]) {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::open(dir.path(), options).unwrap();
    let subs = subscriptions(&queue, N).await;
    (dir, queue, subs.try_into().unwrap())
}

/// Opens the queue's database without `decnet-store`.
pub(crate) fn sqlite(dir: &Path) -> Connection {
    let conn = Connection::open(file(dir)).unwrap();
    conn.busy_timeout(LONG).unwrap();
    conn
}

/// Returns a connection that holds the write lock.
pub(crate) fn write_locked(dir: &Path) -> Connection {
    let conn = sqlite(dir);
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    conn
}

/// Runs `call` in a transaction with a command that fails, so that the transaction is rolled back.
///
/// The commands queue up while another connection holds the write lock.
pub(crate) async fn with_rollback<T>(
    dir: &Path,
    queue: &Queue,
    sub: SubscriptionKey,
    call: impl Future<Output = T>,
) -> T {
    let lock = write_locked(dir);
    let (_, returned, failed, ()) = tokio::join!(
        queue.register([("uuid-0".into(), "name-0".into())].into()),
        call,
        queue.admit([admission(event(1_000_000), &vec![sub; MAX_FAN_OUT as usize], false)].into()),
        async { lock.execute_batch("COMMIT").unwrap() },
    );
    failed.unwrap_err();
    returned
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
    let to = to.iter().map(|sub| Recipient::new(*sub, held)).collect();
    Admission { event: Arc::new(event), to, submitted: None }
}

/// Admits an event, and returns the result for it.
pub(crate) async fn admit_one(queue: &Queue, event: Event, to: &[SubscriptionKey], held: bool) -> Admitted {
    queue.admit([admission(event, to, held)].into()).await.unwrap()[0]
}

/// Admits the events in `range`, each to one subscription. Returns the ids of the deliveries.
pub(crate) async fn admit(
    queue: &Queue,
    range: std::ops::Range<usize>,
    sub: SubscriptionKey,
    held: bool,
) -> Vec<DeliveryId> {
    let batch = range.map(|n| admission(event(n), &[sub], held)).collect();
    queue.admit(batch).await.unwrap().into_iter().map(|admitted| admitted.first).collect()
}

/// Redelivers as an operator does, to subscriptions that are all active.
pub(crate) fn redeliver(dir: &Path, ids: &[DeliveryId]) -> Result<Vec<DeliveryId>, Error> {
    ExternalWriter::open(dir).unwrap().redeliver(ids, &ActiveSubscriptions::default())
}

/// Returns a policy that removes no delivery.
pub(crate) fn keep_all() -> Retention {
    Retention {
        delivered_age: Duration::MAX,
        dead_age: Duration::MAX,
        parked_age: Duration::MAX,
        max_bytes: u64::MAX,
        parked: Arc::default(),
    }
}

/// Prunes until nothing is left to remove.
pub(crate) async fn prune_all(queue: &Queue, policy: &Retention, now: impl Into<Option<UnixMicros>>) {
    let now = now.into();
    while queue.prune(policy.clone(), now).await.unwrap().more {}
}

/// Returns a submission with this id, or with a generated one if `id` is empty.
pub(crate) fn submission(id: &str) -> Submission {
    Submission {
        id: (!id.is_empty()).then(|| id.into()),
        topic: "a.b".into(),
        kind: "test".into(),
        at: Some(UnixMicros(0)),
        payload: r#"{"n": 1}"#.into(),
    }
}

pub(crate) fn key(key: &str) -> IdempotencyKey<'_> {
    IdempotencyKey { scope: "token-1", key }
}

/// Submits events in one call.
pub(crate) fn submit(
    writer: &mut ExternalWriter,
    events: &[Submission],
    key: Option<IdempotencyKey<'_>>,
    at: UnixMicros,
) -> Result<Vec<Submitted>, Error> {
    writer.submit_all(&[(events, key)], at)?.pop().unwrap()
}

/// Submits an event without a key. Returns whether it was a duplicate.
pub(crate) fn submit_one(writer: &mut ExternalWriter, event: Submission, at: UnixMicros) -> bool {
    submit(writer, &[event], None, at).unwrap()[0].duplicate
}

pub(crate) fn duplicates(submitted: &[Submitted]) -> Vec<bool> {
    submitted.iter().map(|event| event.duplicate).collect()
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
    Settlement { id, attempt: attempt(number, started_at, status), state, is_free: false, rendered: None }
}

/// Settles the first attempt of each delivery.
pub(crate) async fn settle_all(queue: &Queue, ids: &[DeliveryId], at: UnixMicros, state: State) {
    let batch = ids.iter().map(|id| settlement(*id, 1, at, state)).collect();
    assert!(queue.settle(batch).await.unwrap().into_iter().all(|applied| applied));
}

pub(crate) async fn claim_all(queue: &Queue, sub: SubscriptionKey) -> Claimed {
    queue.claim(everything(sub)).await.unwrap()
}

/// Returns a claim without bounds.
pub(crate) fn everything(sub: SubscriptionKey) -> Claim {
    let (exclude, now) = (FxHashSet::default(), now());
    Claim { sub, after: None, exclude, limit: usize::MAX, max_bytes: usize::MAX, now }
}

pub(crate) fn ids(deliveries: &[Delivery]) -> Vec<DeliveryId> {
    deliveries.iter().map(|delivery| delivery.id).collect()
}

pub(crate) fn with_status(status: DeliveryStatus) -> Filter {
    Filter { statuses: vec![status], ..Filter::default() }
}

pub(crate) fn list(dir: &Path) -> Vec<Listed> {
    Reader::open(dir).unwrap().list(&Filter::default()).unwrap()
}

pub(crate) fn file(dir: &Path) -> std::path::PathBuf {
    dir.join("queue.db")
}
