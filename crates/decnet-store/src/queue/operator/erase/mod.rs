//! Erase: the payloads of one subscription, or of one event, are gone from the file, while what happened to them stays.
//!
//! Of each delivery stay its row, state, reason and attempts, without what the receiver answered; what still waited is
//! dead (erased). An event's body is overwritten when nobody else is still owed it: SQLite zeroes what it frees
//! (`secure_delete`). [`Operator::clean_up`] does the rest: earlier copies stand in free pages and in the log.
//!
//! [`walk`] finds the deliveries of a step, [`payload`] sees to them, [`files`] cleans up.
//!
//! The worker may hold what was erased in memory; `meta.erasures` counts, and when it looks and finds another number it
//! puts back what it holds, so that nothing but requests in flight goes out. A settlement of what is dead changes
//! nothing.

mod files;
mod payload;
mod walk;

use std::ops::AddAssign;
use std::time::Duration;

use decnet_core::limits::ERASURE_STEP_BYTES;
use decnet_core::time::UnixMicros;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

use self::walk::Part;
use super::super::error::Error;
use super::super::id::DeliveryId;
use super::super::memory;
use super::super::submitted;
use super::Operator;

/// Between two tries of a step that something is in the way of.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Whose payloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Erase {
    /// What was for the subscription with this uuid, whether it is still in the catalog or not.
    Subscription(String),
    /// Every event with this id, to whomever it went.
    Event(String),
}

/// Rows erased so far, or that a dry run would erase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erased {
    /// Deliveries without their payload now.
    pub deliveries: u64,
    /// Those of them that still waited: they are dead.
    pub given_up: u64,
    /// Bodies overwritten.
    pub events: u64,
    /// Bodies that stay, since other subscriptions are still owed them: erase again when they have got them.
    pub shared: u64,
    /// Submitted events that no worker had taken yet, removed.
    pub submitted: u64,
}

/// An erasure, step by step: of what was accepted before its first step.
#[derive(Debug)]
pub struct Erasure {
    what: Chosen,
    /// Deliveries from there on were seen to; none before the first step.
    before: Option<i64>,
    done: Erased,
    dry_run: bool,
}

#[derive(Debug)]
enum Chosen {
    /// The queue's number of it.
    Subscription(u32),
    Event(String),
}

impl Erasure {
    /// Nothing is done yet. None if the queue knows no such subscription; an event is looked for by the steps. With
    /// `dry_run` the steps only count, and keep nobody from writing.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn begin(operator: &Operator, what: Erase, dry_run: bool) -> Result<Option<Self>, Error> {
        let conn = &operator.conn;
        let what = match what {
            Erase::Event(id) => Chosen::Event(id),
            Erase::Subscription(uuid) => {
                let find = "SELECT key FROM subscriptions WHERE uuid = ?1";
                match conn.query_row(find, [uuid], |row| row.get(0)).optional()? {
                    Some(key) => Chosen::Subscription(key),
                    None => return Ok(None),
                }
            }
        };
        conn.pragma_update_and_check(None, "secure_delete", "ON", |_| Ok(()))?;
        Ok(Some(Self { what, before: None, done: Erased::default(), dry_run }))
    }

    /// What is done so far.
    #[must_use]
    pub fn done(&self) -> &Erased {
        &self.done
    }

    /// Takes every step; false if `go_on` ended it before the last. It is told after each step what is done so far, and,
    /// where the step must be taken again, what is in its way: a full disk and a busy queue are waited for, since what was
    /// looked at would have to be looked at anew. Tell the worker, by
    /// [`CHANGED_TOPIC`](decnet_core::topic::own::CHANGED_TOPIC), afterwards, also of what was done before it failed, and
    /// [clean up](Operator::clean_up). Blocks.
    ///
    /// # Errors
    /// What [will not pass](Error::will_pass); what is done is done.
    pub fn carry_out(
        &mut self,
        operator: &mut Operator,
        now: impl Fn() -> UnixMicros,
        go_on: impl Fn(&Erased, Option<&Error>) -> bool,
    ) -> Result<bool, Error> {
        loop {
            let trouble = match self.step(operator, now()) {
                Ok(false) => return Ok(true),
                Ok(true) => None,
                Err(error) if error.will_pass() => Some(error),
                Err(error) => return Err(error),
            };
            if !go_on(&self.done, trouble.as_ref()) {
                return Ok(false);
            }
            if trouble.is_some() {
                std::thread::sleep(RETRY_PAUSE);
            }
        }
    }

    /// One step, of at most `OPERATOR_STEP_ROWS` deliveries and about `ERASURE_STEP_BYTES` of bodies; false if all is done.
    ///
    /// # Errors
    /// See [`Error`]; the step can be taken again.
    pub fn step(&mut self, operator: &mut Operator, now: UnixMicros) -> Result<bool, Error> {
        operator.changing(|conn| self.step_on(conn, now))
    }

    fn step_on(&mut self, conn: &mut Connection, now: UnixMicros) -> Result<bool, Error> {
        let Some(before) = self.before else {
            self.before = Some(self.start(conn)?);
            return Ok(true);
        };
        let Some(part) = self.what.next(conn, before)? else { return Ok(false) };
        let is_empty = part.events.is_empty();
        self.before = Some(if is_empty { part.from } else { self.see_to(conn, &part, now)? });
        Ok(true)
    }

    /// Takes back what no worker has admitted yet, and finds where the walk begins. In one transaction: what was submitted
    /// before is either taken back or among what the walk meets.
    fn start(&mut self, conn: &mut Connection) -> Result<i64, Error> {
        let tx = self.transaction(conn)?;
        let newest: Option<i64> = tx.query_row("SELECT max(seq) FROM events", [], |row| row.get(0))?;
        let submitted = match &self.what {
            Chosen::Event(id) if self.dry_run => count_submitted(&tx, id)?,
            Chosen::Event(id) => take_back(&tx, id)?,
            Chosen::Subscription(_) => 0,
        };
        // Where nothing was taken, there is nothing that the worker must notice.
        if submitted > 0 && !self.dry_run {
            commit(tx)?;
        } else {
            tx.commit()?;
        }
        self.done.submitted = submitted;
        Ok(newest.map_or(0, |seq| DeliveryId::new(seq, 0).last_of_event().raw() + 1))
    }

    /// As much of it as one transaction may; where the next step goes on.
    fn see_to(&mut self, conn: &mut Connection, part: &Part, now: UnixMicros) -> Result<i64, Error> {
        let tx = self.transaction(conn)?;
        let (mut done, mut bytes, mut before) = (self.done, 0, part.from);
        let mut events = part.events.iter().peekable();
        while let Some(event) = events.next() {
            let now = (!self.dry_run).then_some(now);
            let (erased, body) = self.what.see_to(&tx, event, now)?;
            done += erased;
            bytes += body;
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

/// With the number by which the worker notices.
fn commit(tx: Transaction<'_>) -> Result<(), Error> {
    tx.execute("UPDATE meta SET value = value + 1 WHERE key = 'erasures'", [])?;
    Ok(tx.commit()?)
}

fn count_submitted(conn: &Connection, id: &str) -> Result<u64, Error> {
    let count = "SELECT count(*) FROM submitted WHERE id = ?1";
    Ok(conn.query_row(count, [id], |row| row.get::<_, i64>(0))?.unsigned_abs())
}

/// Takes out of the table what no worker has admitted yet: one that has read it is refused. What the event was is not known
/// any more either.
fn take_back(conn: &Connection, id: &str) -> Result<u64, Error> {
    memory::forget_content(conn, id)?;
    let mut delete = conn.prepare_cached("DELETE FROM submitted WHERE id = ?1 RETURNING length(body)")?;
    let bytes: Vec<i64> = delete.query_map([id], |row| row.get(0))?.collect::<Result<_, _>>()?;
    if !bytes.is_empty() {
        submitted::less(conn, bytes.iter().sum())?;
    }
    Ok(bytes.len() as u64)
}

impl AddAssign for Erased {
    fn add_assign(&mut self, other: Self) {
        self.deliveries += other.deliveries;
        self.given_up += other.given_up;
        self.events += other.events;
        self.shared += other.shared;
        self.submitted += other.submitted;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use decnet_core::event::Event;

    use super::super::super::{Admission, Options, Queue, Recipient};
    use super::*;

    #[tokio::test]
    async fn what_is_in_the_way_is_waited_for_and_what_was_done_is_not_done_again() {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::open(dir.path(), Options::default()).unwrap();
        let sub = queue.register([("uuid".into(), "name".into())].into()).await.unwrap()[0];
        let event = |n| Event::new(&format!("event-{n}"), "a.b", "", UnixMicros(0), "1").unwrap().into();
        let to = vec![Recipient { sub, held: false }];
        let admission = |n| Admission { event: event(n), to: to.clone(), submitted: None };
        queue.admit((0..1000).map(admission).collect()).await.unwrap();
        let mut operator = Operator::open(dir.path()).unwrap();
        let mut erasure =
            Erasure::begin(&operator, Erase::Subscription("uuid".into()), false).unwrap().unwrap();
        operator.conn.busy_timeout(Duration::ZERO).unwrap();
        let other = Connection::open(super::super::path(dir.path())).unwrap();
        let troubles = RefCell::new(Vec::new());
        let go_on = |done: &Erased, trouble: Option<&Error>| {
            match trouble {
                Some(error) => {
                    troubles.borrow_mut().push((done.deliveries, error.to_string()));
                    other.execute_batch("COMMIT").unwrap();
                }
                None if done.deliveries > 0 && troubles.borrow().is_empty() => {
                    other.execute_batch("BEGIN IMMEDIATE").unwrap();
                }
                None => {}
            }
            true
        };
        assert!(erasure.carry_out(&mut operator, || UnixMicros(1), go_on).unwrap());
        assert_eq!((erasure.done().deliveries, erasure.done().events), (1000, 1000));
        let troubles = troubles.into_inner();
        assert!(troubles.len() == 1 && (1..1000).contains(&troubles[0].0), "{troubles:?}");
        other
            .execute_batch(
                "CREATE TABLE large AS SELECT zeroblob(1000000); DROP TABLE large; BEGIN IMMEDIATE",
            )
            .unwrap();
        assert!(!operator.clean_up(|| true).unwrap(), "somebody else writes");
        other.execute_batch("COMMIT").unwrap();
        operator.conn.busy_timeout(super::super::BUSY_TIMEOUT).unwrap();
        assert!(operator.clean_up(|| true).unwrap());
    }
}
