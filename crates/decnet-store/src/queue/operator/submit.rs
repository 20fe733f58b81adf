//! Submit: events come into the queue without a bus, each once, and are durable when the call returns.
//!
//! They wait in a table of their own until the worker takes them, routes them as it does what comes from the bus, and
//! admits them; the admission takes them out of the table in the same transaction, so that a crash neither loses nor
//! doubles one. While no worker runs they wait, up to a bound.

use decnet_core::event::{Event, is_id};
use decnet_core::limits::{
    MAX_BODY_BYTES, MAX_IDEMPOTENCY_KEY_BYTES, MAX_REMEMBERED_IDS, MAX_REMEMBERED_KEYS,
    MAX_SUBMISSION_EVENTS, MAX_SUBMITTED_BYTES, MAX_SUBMITTED_EVENTS,
};
use decnet_core::time::UnixMicros;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use sha2::{Digest, Sha256};

use super::super::error::{Error, Unfit};
use super::super::memory::{Hash, expired_before};
use super::Operator;

/// An event to be handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The caller's own id, by which a repetition is known: 1 to 128 printable ASCII characters. Without one it gets
    /// a fresh one.
    pub id: Option<Box<str>>,
    /// Its topic. The caller has seen that it is one.
    pub topic: Box<str>,
    /// What receivers find under `type`.
    pub kind: Box<str>,
    /// When it happened; now, if that is not said.
    pub at: Option<UnixMicros>,
    /// JSON.
    pub payload: Box<str>,
}

/// What makes a request known when it is repeated, whatever is in it.
#[derive(Debug, Clone, Copy)]
pub struct IdempotencyKey<'a> {
    /// Who says the key, for instance the id of a token: the same key of another is another one.
    pub scope: &'a str,
    /// The key; 1 to `MAX_IDEMPOTENCY_KEY_BYTES` bytes.
    pub key: &'a str,
}

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// Its id.
    pub id: Box<str>,
    /// It was submitted before; nothing was done.
    pub duplicate: bool,
}

impl Operator {
    /// Hands in the events of several calls in one transaction, each call all or nothing by itself: they are on the disk when
    /// this returns. An id that was submitted within `SUBMISSION_MEMORY_AGE` is not taken again; nor is anything with an
    /// idempotency key that was used, which is answered as it was then. What is wrong with one call costs the others nothing.
    ///
    /// The worker looks once a second; publish [`SUBMITTED_TOPIC`](decnet_core::topic::own::SUBMITTED_TOPIC) on the bus,
    /// or nudge it, and it looks at once.
    ///
    /// # Errors
    /// What concerns all of them, and then nothing was taken: see [`Error`]. In the results, one a call: [`Error::Unfit`], an
    /// event that cannot be one, too many of them, or a bad key; [`Error::IdempotencyConflict`], the key was used with
    /// another request; [`Error::Backlogged`], too much waits already.
    pub fn submit_all(
        &mut self,
        calls: &[(&[Submission], Option<IdempotencyKey<'_>>)],
        now: UnixMicros,
    ) -> Result<Vec<Result<Vec<Submitted>, Error>>, Error> {
        let made: Vec<_> = calls.iter().map(|(events, key)| Made::new(events, key.as_ref(), now)).collect();
        let mut tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut results = Vec::with_capacity(calls.len());
        for ((events, _), made) in calls.iter().zip(made) {
            let taken = match made {
                Ok(made) => take_alone(&mut tx, &made, events, now),
                Err(error) => Err(error),
            };
            match taken {
                Err(error) if !error.is_of_the_caller() => return Err(error),
                taken => results.push(taken),
            }
        }
        forget_the_oldest(&tx)?;
        tx.commit()?;
        Ok(results)
    }
}

/// One of the calls: what it did is undone if it fails.
fn take_alone(
    tx: &mut Transaction<'_>,
    made: &Made,
    events: &[Submission],
    now: UnixMicros,
) -> Result<Vec<Submitted>, Error> {
    let savepoint = tx.savepoint()?;
    let submitted = made.take(&savepoint, events, now)?;
    savepoint.commit()?;
    Ok(submitted)
}

/// A call that can be carried out.
struct Made {
    events: Vec<Event>,
    request: Option<Request>,
}

impl Made {
    fn new(events: &[Submission], key: Option<&IdempotencyKey<'_>>, now: UnixMicros) -> Result<Self, Error> {
        let request = key.map(|key| Request::new(key, events)).transpose()?;
        Ok(Self { events: make(events, now)?, request })
    }

    fn take(
        &self,
        conn: &Connection,
        events: &[Submission],
        now: UnixMicros,
    ) -> Result<Vec<Submitted>, Error> {
        if let Some(request) = &self.request
            && let Some(answered) = request.find(conn, now)?
        {
            return Ok(answered);
        }
        let submitted = add_all(conn, events, &self.events, now)?;
        if let Some(request) = &self.request {
            request.remember(conn, &submitted, now)?;
        }
        Ok(submitted)
    }
}

/// The events, if all of them can be some.
fn make(events: &[Submission], now: UnixMicros) -> Result<Vec<Event>, Error> {
    if events.len() > MAX_SUBMISSION_EVENTS {
        return Err(Error::Unfit { index: MAX_SUBMISSION_EVENTS, why: Unfit::TooMany });
    }
    let numbered = events.iter().enumerate();
    numbered.map(|(index, event)| event.make(now).map_err(|why| Error::Unfit { index, why })).collect()
}

impl Submission {
    fn make(&self, now: UnixMicros) -> Result<Event, Unfit> {
        let fresh;
        let id = match self.id.as_deref() {
            Some(id) if !is_id(id) => return Err(Unfit::Id),
            Some(id) => id,
            None => {
                fresh = uuid::Uuid::new_v4().to_string();
                &fresh
            }
        };
        let at = self.at.unwrap_or(now);
        let event = Event::new(id, &self.topic, &self.kind, at, &self.payload)
            .map_err(|why| Unfit::Payload(why.into()))?;
        if event.body.len() > MAX_BODY_BYTES { Err(Unfit::TooLarge) } else { Ok(event) }
    }
}

/// Writes what is new, if there is room for it.
fn add_all(
    conn: &Connection,
    events: &[Submission],
    made: &[Event],
    now: UnixMicros,
) -> Result<Vec<Submitted>, Error> {
    let mut add =
        conn.prepare_cached("INSERT INTO submitted (id, topic, submitted_at, body) VALUES (?1, ?2, ?3, ?4)")?;
    let mut submitted = Vec::with_capacity(made.len());
    let (mut count, mut bytes) = (0, 0);
    for (submission, event) in events.iter().zip(made) {
        let duplicate = submission.id.is_some() && !is_new(conn, &event.id, now)?;
        if !duplicate {
            add.execute((&event.id, &event.topic, now.0, event.body.as_ref()))?;
            (count, bytes) = (count + 1, bytes + event.body.len());
        }
        submitted.push(Submitted { id: event.id.clone(), duplicate });
    }
    if count > 0 {
        make_sure_there_is_room(conn, bytes)?;
    }
    Ok(submitted)
}

/// Counts the bytes, and looks at what waits now.
fn make_sure_there_is_room(conn: &Connection, bytes: usize) -> Result<(), Error> {
    let waiting: i64 = conn
        .prepare_cached("UPDATE meta SET value = value + ?1 WHERE key = 'submitted_bytes' RETURNING value")?
        .query_row([bytes as i64], |row| row.get(0))?;
    // Numbers follow each other, and the worker takes them in their order.
    let events: i64 = conn
        .prepare_cached("SELECT (SELECT max(seq) FROM submitted) - (SELECT min(seq) FROM submitted) + 1")?
        .query_row([], |row| row.get(0))?;
    // What is larger than the bound alone would never fit.
    let is_alone = waiting == bytes as i64;
    if events > MAX_SUBMITTED_EVENTS as i64 || (waiting > MAX_SUBMITTED_BYTES as i64 && !is_alone) {
        return Err(Error::Backlogged);
    }
    Ok(())
}

/// Notes the id. False if it was submitted lately.
fn is_new(conn: &Connection, id: &str, now: UnixMicros) -> Result<bool, Error> {
    let hash = Hash::of(&[id.as_bytes()]);
    // One that was forgotten a moment too late makes place.
    let mut forget = conn.prepare_cached("DELETE FROM submitted_ids WHERE hash = ?1 AND at < ?2")?;
    forget.execute((hash, expired_before(now)))?;
    let mut note = conn.prepare_cached("INSERT OR IGNORE INTO submitted_ids (hash, at) VALUES (?1, ?2)")?;
    Ok(note.execute((hash, now.0))? > 0)
}

/// The memory's bounds in numbers, whatever the age: as many of the oldest go as came.
fn forget_the_oldest(conn: &Connection) -> Result<(), Error> {
    for (table, most) in [("submitted_ids", MAX_REMEMBERED_IDS), ("submitted_keys", MAX_REMEMBERED_KEYS)] {
        let sql = format!("DELETE FROM {table} WHERE seq <= (SELECT max(seq) FROM {table}) - ?1");
        conn.prepare_cached(&sql)?.execute([most as i64])?;
    }
    Ok(())
}

/// A request with an idempotency key.
struct Request {
    hash: Hash,
    fingerprint: [u8; 32],
}

impl Request {
    fn new(key: &IdempotencyKey<'_>, events: &[Submission]) -> Result<Self, Error> {
        if key.key.is_empty() || key.key.len() > MAX_IDEMPOTENCY_KEY_BYTES {
            return Err(Error::Unfit { index: 0, why: Unfit::Key });
        }
        Ok(Self {
            hash: Hash::of(&[key.scope.as_bytes(), key.key.as_bytes()]),
            fingerprint: fingerprint(events),
        })
    }

    /// What was answered when the key was used.
    fn find(&self, conn: &Connection, now: UnixMicros) -> Result<Option<Vec<Submitted>>, Error> {
        let mut find =
            conn.prepare_cached("SELECT fingerprint, ids FROM submitted_keys WHERE hash = ?1 AND at >= ?2")?;
        let found = find.query_row((self.hash, expired_before(now)), |row| {
            Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, String>(1)?))
        });
        match found.optional()? {
            None => Ok(None),
            Some((fingerprint, _)) if fingerprint != self.fingerprint => Err(Error::IdempotencyConflict),
            Some((_, ids)) => {
                let answered = ids.lines().map(|id| Submitted { id: id.into(), duplicate: true });
                Ok(Some(answered.collect()))
            }
        }
    }

    fn remember(&self, conn: &Connection, submitted: &[Submitted], now: UnixMicros) -> Result<(), Error> {
        // An id is printable: none holds a line's end.
        let ids: Vec<&str> = submitted.iter().map(|event| &*event.id).collect();
        let mut forget = conn.prepare_cached("DELETE FROM submitted_keys WHERE hash = ?1")?;
        forget.execute([self.hash])?;
        let mut note = conn.prepare_cached(
            "INSERT INTO submitted_keys (hash, at, fingerprint, ids) VALUES (?1, ?2, ?3, ?4)",
        )?;
        note.execute((self.hash, now.0, self.fingerprint, ids.join("\n")))?;
        Ok(())
    }
}

/// Of everything that the caller said.
fn fingerprint(events: &[Submission]) -> [u8; 32] {
    let mut digest = Sha256::new();
    let mut put = |part: Option<&[u8]>| {
        digest.update([u8::from(part.is_some())]);
        digest.update(part.map_or(0, <[u8]>::len).to_le_bytes());
        digest.update(part.unwrap_or_default());
    };
    for event in events {
        put(event.id.as_deref().map(str::as_bytes));
        put(Some(event.topic.as_bytes()));
        put(Some(event.kind.as_bytes()));
        put(event.at.map(|at| at.0.to_le_bytes()).as_ref().map(<[u8; 8]>::as_slice));
        put(Some(event.payload.as_bytes()));
    }
    digest.finalize().into()
}
