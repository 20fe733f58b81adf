//! Erase: removes the payloads of one subscription or one event from the file, and keeps the history of the deliveries.
//!
//! A delivery keeps its row, state, reason and attempts, but not the replies. A waiting delivery becomes dead (erased). An
//! event's body is overwritten unless it still waits for another subscription: SQLite zeroes what it frees (`secure_delete`).
//! [`ExternalWriter::clean_up`] then removes earlier copies from free pages and from the log.
//!
//! [`walk`] finds the deliveries of a step, [`payload`] erases them, [`files`] cleans up.
//!
//! The worker may hold erased deliveries in memory. Every erasing commit increments `meta.erasures`. When the worker finds that
//! the number has changed, it releases the deliveries in memory, so that only requests in flight are still sent. The settlement
//! of a dead delivery changes nothing.

mod files;
mod payload;
mod walk;

use std::time::Duration;

use decnet_core::limits::ERASURE_STEP_BYTES;
use decnet_core::time::UnixMicros;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use self::walk::Batch;
use super::super::error::Error;
use super::super::id::DeliveryId;
use super::super::{idempotency, meta, submitted};
use super::ExternalWriter;
use crate::sql;

/// The pause before a step is retried after a transient error.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The payloads to erase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErasureTarget {
    /// The payloads for the subscription with this UUID, which may have been deleted from the catalog.
    Subscription(String),
    /// The payloads of all events with this id, for every subscription.
    Event(String),
}

/// The rows erased so far, or that a dry run would erase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erased {
    /// Deliveries whose payload was erased.
    pub deliveries: u64,
    /// Erased deliveries that were waiting and are now dead.
    pub given_up: u64,
    /// Bodies that were overwritten.
    pub events: u64,
    /// Bodies that were kept because deliveries to other subscriptions need them. Erase again after those deliveries.
    pub shared: u64,
    /// Submitted events that were removed before a worker admitted them.
    pub submitted: u64,
}

/// An erasure, step by step, of events that were accepted before its first step.
#[derive(Debug)]
pub struct Erasure {
    target: Target,
    /// Deliveries with this id or a higher id are done. `None` before the first step.
    before: Option<i64>,
    done: Erased,
    dry_run: bool,
}

/// An [`ErasureTarget`] as the queue identifies it.
#[derive(Debug)]
enum Target {
    /// The key of the subscription.
    Subscription(u32),
    Event(String),
}

impl Erasure {
    /// Creates an erasure without running a step. Returns `None` if the queue has no such subscription; an event is searched
    /// for by the steps. With `dry_run` the steps only count, and do not block writers.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn begin(
        writer: &ExternalWriter,
        target: ErasureTarget,
        dry_run: bool,
    ) -> Result<Option<Self>, Error> {
        let conn = &writer.conn;
        let target = match target {
            ErasureTarget::Event(id) => Target::Event(id),
            ErasureTarget::Subscription(uuid) => {
                match sql::find(conn, "SELECT key FROM subscriptions WHERE uuid = ?1", [uuid])? {
                    Some(key) => Target::Subscription(key),
                    None => return Ok(None),
                }
            }
        };
        conn.pragma_update_and_check(None, "secure_delete", "ON", |_| Ok(()))?;
        Ok(Some(Self { target, before: None, done: Erased::default(), dry_run }))
    }

    /// Returns the rows erased so far.
    #[must_use]
    pub fn done(&self) -> &Erased {
        &self.done
    }

    /// Runs all steps. Returns false if `keep_going` ended the erasure early. `keep_going` is called after each step with the
    /// rows erased so far, and, if the step must be retried, with the transient error: a full disk or a busy queue. The
    /// erasure waits for it to end, because a new erasure would have to scan everything again. This blocks.
    ///
    /// Afterwards, also after a failure, publish [`CHANGED_TOPIC`](decnet_core::topic::system_topics::CHANGED_TOPIC) to notify
    /// the worker, and [clean up](ExternalWriter::clean_up).
    ///
    /// # Errors
    /// An error that is not [transient](Error::is_transient); completed steps are not undone.
    pub fn run(
        &mut self,
        writer: &mut ExternalWriter,
        now: impl Fn() -> UnixMicros,
        keep_going: impl Fn(&Erased, Option<&Error>) -> bool,
    ) -> Result<bool, Error> {
        loop {
            let transient = match self.step(writer, now()) {
                Ok(false) => return Ok(true),
                Ok(true) => None,
                Err(error) if error.is_transient() => Some(error),
                Err(error) => return Err(error),
            };
            if !keep_going(&self.done, transient.as_ref()) {
                return Ok(false);
            }
            if transient.is_some() {
                std::thread::sleep(RETRY_PAUSE);
            }
        }
    }

    /// Runs one step, of at most `OPERATOR_STEP_ROWS` deliveries and about `ERASURE_STEP_BYTES` of bodies. Returns whether there
    /// are more steps.
    ///
    /// # Errors
    /// See [`Error`]; the step can be retried.
    pub fn step(&mut self, writer: &mut ExternalWriter, now: UnixMicros) -> Result<bool, Error> {
        writer.write(|conn| self.step_on(conn, now))
    }

    fn step_on(&mut self, conn: &mut Connection, now: UnixMicros) -> Result<bool, Error> {
        let Some(before) = self.before else {
            self.before = Some(self.start(conn)?);
            return Ok(true);
        };
        let Some(batch) = self.target.next(conn, before)? else { return Ok(false) };
        let is_empty = batch.events.is_empty();
        self.before = Some(if is_empty { batch.from } else { self.erase(conn, &batch, now)? });
        Ok(true)
    }

    /// Removes submitted events, and returns where the walk begins. Both happen in one transaction, so that every event
    /// submitted before is either removed or found by the walk.
    fn start(&mut self, conn: &mut Connection) -> Result<i64, Error> {
        let tx = self.transaction(conn)?;
        let newest: Option<i64> = sql::value(&tx, "SELECT max(seq) FROM events", [])?;
        let submitted = match &self.target {
            Target::Event(id) if self.dry_run => count_submitted(&tx, id)?,
            Target::Event(id) => remove_submitted(&tx, id)?,
            Target::Subscription(_) => 0,
        };
        // The worker needs no notification if nothing was removed.
        if submitted > 0 && !self.dry_run {
            commit(tx)?;
        } else {
            tx.commit()?;
        }
        self.done.submitted = submitted;
        Ok(newest.map_or(0, |seq| DeliveryId::range_of_event(seq).1 + 1))
    }

    /// Erases events of the batch until the transaction is full. Returns the position at which the next step continues.
    fn erase(&mut self, conn: &mut Connection, batch: &Batch, now: UnixMicros) -> Result<i64, Error> {
        let tx = self.transaction(conn)?;
        let (mut done, mut bytes, mut before) = (self.done, 0, batch.from);
        let mut events = batch.events.iter().peekable();
        while let Some(event) = events.next() {
            let now = (!self.dry_run).then_some(now);
            bytes += self.target.erase(&tx, event, now, &mut done)?;
            if bytes >= ERASURE_STEP_BYTES && events.peek().is_some() {
                before = event.oldest();
                break;
            }
        }
        if !self.dry_run {
            commit(tx)?;
        }
        self.done = done;
        Ok(before)
    }

    fn transaction<'c>(&self, conn: &'c mut Connection) -> Result<Transaction<'c>, Error> {
        let behavior =
            if self.dry_run { TransactionBehavior::Deferred } else { TransactionBehavior::Immediate };
        Ok(conn.transaction_with_behavior(behavior)?)
    }
}

/// Increments the counter by which the worker detects an erasure, and commits.
fn commit(tx: Transaction<'_>) -> Result<(), Error> {
    meta::add(&tx, "erasures", 1)?;
    Ok(tx.commit()?)
}

fn count_submitted(conn: &Connection, id: &str) -> Result<u64, Error> {
    let count: i64 = sql::value(conn, "SELECT count(*) FROM submitted WHERE id = ?1", [id])?;
    Ok(count.unsigned_abs())
}

/// Removes submitted events that are not yet admitted; a worker that has already read such an event can no longer admit it. Also
/// removes the content hash.
fn remove_submitted(conn: &Connection, id: &str) -> Result<u64, Error> {
    idempotency::clear_content_hash(conn, id)?;
    let delete = "DELETE FROM submitted WHERE id = ?1 RETURNING length(body)";
    let bytes: Vec<i64> = sql::all(conn, delete, [id], |row| row.get(0))?;
    if !bytes.is_empty() {
        submitted::sub_backlog_bytes(conn, bytes.iter().sum())?;
    }
    Ok(bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use decnet_core::event::Event;

    use super::super::super::{Admission, Options, Queue, Recipient};
    use super::*;

    #[tokio::test]
    async fn busy_step_is_retried_and_done_steps_are_not_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::open(dir.path(), Options::default()).unwrap();
        let sub = queue.register([("uuid".into(), "name".into())].into()).await.unwrap()[0];
        let event = |n| Event::new(&format!("event-{n}"), "a.b", "", UnixMicros(0), "1").unwrap().into();
        let to = vec![Recipient::new(sub, false)];
        let admission = |n| Admission { event: event(n), to: to.clone(), submitted: None };
        queue.admit((0..1000).map(admission).collect()).await.unwrap();
        let mut writer = ExternalWriter::open(dir.path()).unwrap();
        let target = ErasureTarget::Subscription("uuid".into());
        let mut erasure = Erasure::begin(&writer, target, false).unwrap().unwrap();
        writer.conn.busy_timeout(Duration::ZERO).unwrap();
        let other = Connection::open(super::super::path(dir.path())).unwrap();
        let errors = RefCell::new(Vec::new());
        let keep_going = |done: &Erased, error: Option<&Error>| {
            match error {
                Some(error) => {
                    errors.borrow_mut().push((done.deliveries, error.to_string()));
                    other.execute_batch("COMMIT").unwrap();
                }
                None if done.deliveries > 0 && errors.borrow().is_empty() => {
                    other.execute_batch("BEGIN IMMEDIATE").unwrap();
                }
                None => {}
            }
            true
        };
        assert!(erasure.run(&mut writer, || UnixMicros(1), keep_going).unwrap());
        assert_eq!((erasure.done().deliveries, erasure.done().events), (1000, 1000));
        let errors = errors.into_inner();
        assert!(errors.len() == 1 && (1..1000).contains(&errors[0].0), "{errors:?}");
        other
            .execute_batch(
                "CREATE TABLE large AS SELECT zeroblob(1000000); DROP TABLE large; BEGIN IMMEDIATE",
            )
            .unwrap();
        assert!(!writer.clean_up(|| true).unwrap(), "another connection holds the write lock");
        other.execute_batch("COMMIT").unwrap();
        writer.conn.busy_timeout(super::super::BUSY_TIMEOUT).unwrap();
        assert!(writer.clean_up(|| true).unwrap());
    }
}
