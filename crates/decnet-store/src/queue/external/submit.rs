//! Submit: adds events to the queue without a bus, each once. They are committed when the call returns.
//!
//! Submitted events wait in their own table until the worker reads them, routes them like events from the bus, and admits them.
//! The admission removes them from the table in the same transaction, so that a crash neither loses nor duplicates an event.
//! Without a running worker they wait, up to a bound.

use std::borrow::Cow;

use decnet_core::event::{Event, is_id};
use decnet_core::limits::{
    MAX_BODY_BYTES, MAX_DEDUP_IDS, MAX_IDEMPOTENCY_KEY_BYTES, MAX_IDEMPOTENCY_KEYS, MAX_SUBMISSION_EVENTS,
    MAX_SUBMITTED_BYTES, MAX_SUBMITTED_EVENTS,
};
use decnet_core::time::UnixMicros;
use rusqlite::{Connection, Transaction};
use sha2::{Digest, Sha256};

use super::super::error::{Error, InvalidSubmission};
use super::super::idempotency::{Hash, IdSeed};
use super::super::meta;
use super::ExternalWriter;
use crate::sql;

/// An event to submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The caller's id, by which duplicates from any caller are detected: see [`is_id`]. With `None` an id is generated.
    pub id: Option<Box<str>>,
    /// The topic, which the caller has validated.
    pub topic: Box<str>,
    /// The `type` in the body that receivers get.
    pub kind: Box<str>,
    /// The time of the event; `None` for the current time.
    pub at: Option<UnixMicros>,
    /// The payload as JSON.
    pub payload: Box<str>,
}

/// A key that identifies a repeated request, regardless of its content.
#[derive(Debug, Clone, Copy)]
pub struct IdempotencyKey<'a> {
    /// The scope of the key, for example the id of a token. Equal keys in different scopes are different.
    pub scope: &'a str,
    /// The key; 1 to `MAX_IDEMPOTENCY_KEY_BYTES` bytes.
    pub key: &'a str,
}

/// The result for one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// The id of the event.
    pub id: Box<str>,
    /// Whether the event was submitted before, so that nothing was done.
    pub duplicate: bool,
}

impl ExternalWriter {
    /// Submits the events of several calls in one transaction, each call all or nothing. An invalid call does not affect the
    /// others. When this returns, the events are on disk.
    ///
    /// An id that was submitted before is not accepted again. A call with a used idempotency key is not executed; its result is
    /// the earlier result. Ids and keys are kept for `SUBMISSION_DEDUP_WINDOW`, and then until the worker's retention removes
    /// them: within a minute, unless the clock is in doubt. Beyond `MAX_DEDUP_IDS` or `MAX_IDEMPOTENCY_KEYS`, or their share of
    /// the queue's maximum size, the oldest ids and keys are removed earlier.
    ///
    /// The worker polls once a second. Publish [`SUBMITTED_TOPIC`](decnet_core::topic::system_topics::SUBMITTED_TOPIC) on the
    /// bus, or notify it directly, to make it read at once.
    ///
    /// # Errors
    /// The transaction failed, and no event was accepted: see [`Error`]. In the results, one per call:
    /// [`Error::InvalidSubmission`] for an invalid event, too many events, or an invalid key; [`Error::IdempotencyConflict`] if
    /// the key was used with another request; [`Error::IdConflict`] if an id was submitted with another event;
    /// [`Error::Backlogged`] if too many events wait already.
    pub fn submit_all(
        &mut self,
        calls: &[(&[Submission], Option<IdempotencyKey<'_>>)],
        now: UnixMicros,
    ) -> Result<Vec<Result<Vec<Submitted>, Error>>, Error> {
        let prepared: Vec<_> =
            calls.iter().map(|(events, key)| PreparedCall::new(events, key.as_ref(), now)).collect();
        self.transact(|tx| {
            let mut results = Vec::with_capacity(calls.len());
            for ((events, _), call) in calls.iter().zip(prepared) {
                match call.and_then(|call| call.execute(tx, events, now)) {
                    Err(error) if !error.is_rejection() => return Err(error),
                    result => results.push(result),
                }
            }
            evict_oldest(tx)?;
            Ok(results)
        })
    }
}

/// A valid call.
struct PreparedCall {
    events: Vec<PreparedEvent>,
    /// The seed of the generated ids.
    seed: IdSeed,
    request: Option<KeyedRequest>,
}

/// A valid event of a call.
struct PreparedEvent {
    event: Event,
    caller_id: Option<CallerId>,
}

impl PreparedCall {
    fn new(events: &[Submission], key: Option<&IdempotencyKey<'_>>, now: UnixMicros) -> Result<Self, Error> {
        let request = key.map(|key| KeyedRequest::new(key, events)).transpose()?;
        let seed = IdSeed::random();
        Ok(Self { events: prepare(events, seed, now)?, seed, request })
    }

    /// Executes the call. Its changes are rolled back if it fails.
    fn execute(
        &self,
        tx: &mut Transaction<'_>,
        events: &[Submission],
        now: UnixMicros,
    ) -> Result<Vec<Submitted>, Error> {
        let savepoint = tx.savepoint()?;
        if let Some(request) = &self.request
            && let Some(ids) = request.find(&savepoint)?
        {
            return Ok(ids.repeat(events));
        }
        let submitted = insert_all(&savepoint, &self.events, now)?;
        if let Some(request) = &self.request {
            request.record(&savepoint, self.seed, now)?;
        }
        savepoint.commit()?;
        Ok(submitted)
    }
}

/// Validates the events of a call.
fn prepare(events: &[Submission], seed: IdSeed, now: UnixMicros) -> Result<Vec<PreparedEvent>, Error> {
    if events.len() > MAX_SUBMISSION_EVENTS {
        let (index, reason) = (MAX_SUBMISSION_EVENTS, InvalidSubmission::TooMany);
        return Err(Error::InvalidSubmission { index, reason });
    }
    let prepare = |(index, event): (usize, &Submission)| {
        event.prepare(|| seed.id(index), now).map_err(|reason| Error::InvalidSubmission { index, reason })
    };
    events.iter().enumerate().map(prepare).collect()
}

impl Submission {
    fn prepare(
        &self,
        generate_id: impl FnOnce() -> String,
        now: UnixMicros,
    ) -> Result<PreparedEvent, InvalidSubmission> {
        let id: Cow<'_, str> = match self.id.as_deref() {
            Some(id) if !is_id(id) => return Err(InvalidSubmission::Id),
            Some(id) => id.into(),
            None => generate_id().into(),
        };
        let event = self.event(&id, self.at.unwrap_or(now))?;
        if event.body.len() > MAX_BODY_BYTES {
            return Err(InvalidSubmission::TooLarge);
        }
        // The hash excludes the time: a repeated event may have a different time.
        let caller_id = match &self.id {
            Some(id) => Some(CallerId::new(&self.event(id, UnixMicros(0))?)),
            None => None,
        };
        Ok(PreparedEvent { event, caller_id })
    }

    fn event(&self, id: &str, at: UnixMicros) -> Result<Event, InvalidSubmission> {
        Event::new(id, &self.topic, &self.kind, at, &self.payload)
            .map_err(|error| InvalidSubmission::Payload(error.into()))
    }
}

/// Inserts the events that are not duplicates, unless the backlog is full.
fn insert_all(
    conn: &Connection,
    prepared: &[PreparedEvent],
    now: UnixMicros,
) -> Result<Vec<Submitted>, Error> {
    let mut insert =
        conn.prepare_cached("INSERT INTO submitted (id, topic, submitted_at, body) VALUES (?1, ?2, ?3, ?4)")?;
    let mut submitted = Vec::with_capacity(prepared.len());
    let (mut count, mut bytes) = (0, 0);
    for (index, PreparedEvent { event, caller_id }) in prepared.iter().enumerate() {
        let check = caller_id.as_ref().map_or(Ok(IdCheck::New), |id| id.record(conn, now))?;
        if check == IdCheck::Conflict {
            return Err(Error::IdConflict { index, id: event.id.clone() });
        }
        let duplicate = check == IdCheck::Duplicate;
        if !duplicate {
            insert.execute((&event.id, &event.topic, now.0, event.body.as_ref()))?;
            (count, bytes) = (count + 1, bytes + event.body.len());
        }
        submitted.push(Submitted { id: event.id.clone(), duplicate });
    }
    if count > 0 {
        add_to_backlog(conn, bytes)?;
    }
    Ok(submitted)
}

/// Adds `bytes` to the backlog counter, and checks the bounds of the backlog.
fn add_to_backlog(conn: &Connection, bytes: usize) -> Result<(), Error> {
    let total = meta::add(conn, "submitted_bytes", bytes as i64)?;
    // Sequence numbers are consecutive, and the worker removes events in their order.
    let events = "SELECT (SELECT max(seq) FROM submitted) - (SELECT min(seq) FROM submitted) + 1";
    let events: i64 = sql::value(conn, events, [])?;
    // A call that exceeds the bound by itself is accepted if nothing else waits.
    let is_alone = total == bytes as i64;
    if events > MAX_SUBMITTED_EVENTS as i64 || (total > MAX_SUBMITTED_BYTES as i64 && !is_alone) {
        return Err(Error::Backlogged);
    }
    Ok(())
}

/// The hashes of an id that the caller chose, and of its event's content.
struct CallerId {
    id: Hash,
    content: Hash,
}

/// Whether an id was submitted before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IdCheck {
    New,
    /// The id was submitted with the same content.
    Duplicate,
    /// The id was submitted with other content.
    Conflict,
}

impl CallerId {
    /// Hashes the body, which is canonical JSON, so that the formatting of the payload does not matter.
    fn new(event: &Event) -> Self {
        Self { id: Hash::of_id(&event.id), content: Hash::of(&[&event.body]) }
    }

    /// Checks the id, and records it if it is new.
    fn record(&self, conn: &Connection, now: UnixMicros) -> Result<IdCheck, Error> {
        let Self { id, content } = self;
        let insert = "INSERT OR IGNORE INTO submitted_ids (hash, at, content) VALUES (?1, ?2, ?3)";
        if sql::execute(conn, insert, (id, now.0, content))? > 0 {
            return Ok(IdCheck::New);
        }
        let is_same = "SELECT content IS NULL OR content = ?2 FROM submitted_ids WHERE hash = ?1";
        let is_same = sql::value(conn, is_same, (id, content))?;
        Ok(if is_same { IdCheck::Duplicate } else { IdCheck::Conflict })
    }
}

/// Removes the oldest ids and keys beyond their maximum numbers.
fn evict_oldest(conn: &Connection) -> Result<(), Error> {
    for (table, limit) in [("submitted_ids", MAX_DEDUP_IDS), ("submitted_keys", MAX_IDEMPOTENCY_KEYS)] {
        let evict = format!("DELETE FROM {table} WHERE seq <= (SELECT max(seq) FROM {table}) - ?1");
        sql::execute(conn, &evict, [limit as i64])?;
    }
    Ok(())
}

/// A request with an idempotency key.
struct KeyedRequest {
    hash: Hash,
    fingerprint: [u8; 32],
}

impl KeyedRequest {
    fn new(key: &IdempotencyKey<'_>, events: &[Submission]) -> Result<Self, Error> {
        if key.key.is_empty() || key.key.len() > MAX_IDEMPOTENCY_KEY_BYTES {
            return Err(Error::InvalidSubmission { index: 0, reason: InvalidSubmission::Key });
        }
        Ok(Self {
            hash: Hash::of(&[key.scope.as_bytes(), key.key.as_bytes()]),
            fingerprint: fingerprint(events),
        })
    }

    /// Returns the ids of the earlier request with this key, if any.
    fn find(&self, conn: &Connection) -> Result<Option<RecordedIds>, Error> {
        let find = "SELECT fingerprint, seed, ids FROM submitted_keys WHERE hash = ?1";
        let found = sql::first(conn, find, [self.hash], |row| {
            let ids = match row.get(1)? {
                Some(seed) => RecordedIds::Seed(seed),
                None => RecordedIds::All(row.get(2)?),
            };
            Ok((row.get::<_, [u8; 32]>(0)?, ids))
        });
        match found? {
            Some((fingerprint, _)) if fingerprint != self.fingerprint => Err(Error::IdempotencyConflict),
            found => Ok(found.map(|(_, ids)| ids)),
        }
    }

    fn record(&self, conn: &Connection, seed: IdSeed, now: UnixMicros) -> Result<(), Error> {
        let insert =
            "INSERT INTO submitted_keys (hash, at, fingerprint, seed, ids) VALUES (?1, ?2, ?3, ?4, '')";
        Ok(sql::execute(conn, insert, (self.hash, now.0, self.fingerprint, seed)).map(drop)?)
    }
}

/// The event ids of an earlier request.
enum RecordedIds {
    /// The seed of the generated ids; the other ids are in the request.
    Seed(IdSeed),
    /// All ids, one per line, as an earlier version recorded them.
    All(String),
}

impl RecordedIds {
    /// Returns the result for a repeated request.
    fn repeat(self, events: &[Submission]) -> Vec<Submitted> {
        let duplicate = |id: &str| Submitted { id: id.into(), duplicate: true };
        match self {
            Self::All(ids) => ids.lines().map(duplicate).collect(),
            Self::Seed(seed) => {
                let id = |index, id: Option<&str>| id.map_or_else(|| duplicate(&seed.id(index)), duplicate);
                events.iter().enumerate().map(|(index, event)| id(index, event.id.as_deref())).collect()
            }
        }
    }
}

/// Hashes all fields of the events.
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
