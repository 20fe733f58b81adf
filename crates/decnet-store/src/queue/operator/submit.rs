//! Submit: events come into the queue without a bus, each once, and are durable when the call returns.
//!
//! They wait in a table of their own until the worker takes them, routes them as it does what comes from the bus, and
//! admits them; the admission takes them out of the table in the same transaction, so that a crash neither loses nor
//! doubles one. While no worker runs they wait, up to a bound.

use std::borrow::Cow;

use decnet_core::event::{Event, is_id};
use decnet_core::limits::{
    MAX_BODY_BYTES, MAX_IDEMPOTENCY_KEY_BYTES, MAX_REMEMBERED_IDS, MAX_REMEMBERED_KEYS,
    MAX_SUBMISSION_EVENTS, MAX_SUBMITTED_BYTES, MAX_SUBMITTED_EVENTS,
};
use decnet_core::time::UnixMicros;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use sha2::{Digest, Sha256};

use super::super::error::{Error, Unfit};
use super::super::memory::{Hash, Seed};
use super::Operator;

/// An event to be handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The caller's own id, by which a repetition is known, whoever it is from: see [`is_id`].
    /// Without one it gets a fresh one.
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
    /// this returns. An id that was submitted is not taken again as long as it is remembered; nor is anything with an
    /// idempotency key that was used, which is answered as it was then. Both are remembered for `SUBMISSION_MEMORY_AGE`, and
    /// then until the worker's retention forgets them, which it does within a minute unless the clock is in doubt. Of more
    /// than `MAX_REMEMBERED_IDS` or `MAX_REMEMBERED_KEYS`, or than the queue's size leaves room for, the oldest are forgotten
    /// sooner. What is wrong with one call costs the others nothing.
    ///
    /// The worker looks once a second; publish [`SUBMITTED_TOPIC`](decnet_core::topic::own::SUBMITTED_TOPIC) on the bus,
    /// or nudge it, and it looks at once.
    ///
    /// # Errors
    /// What concerns all of them, and then nothing was taken: see [`Error`]. In the results, one a call: [`Error::Unfit`], an
    /// event that cannot be one, too many of them, or a bad key; [`Error::IdempotencyConflict`], the key was used with
    /// another request; [`Error::IdConflict`], an id was submitted with another event; [`Error::Backlogged`], too much waits
    /// already.
    pub fn submit_all(
        &mut self,
        calls: &[(&[Submission], Option<IdempotencyKey<'_>>)],
        now: UnixMicros,
    ) -> Result<Vec<Result<Vec<Submitted>, Error>>, Error> {
        let made: Vec<_> = calls.iter().map(|(events, key)| Made::new(events, key.as_ref(), now)).collect();
        self.changing(|conn| {
            let mut tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
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
        })
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
    events: Vec<MadeEvent>,
    /// Of the ids of those that brought none.
    seed: Seed,
    request: Option<Request>,
}

/// One of its events.
struct MadeEvent {
    event: Event,
    own_id: Option<OwnId>,
}

impl Made {
    fn new(events: &[Submission], key: Option<&IdempotencyKey<'_>>, now: UnixMicros) -> Result<Self, Error> {
        let request = key.map(|key| Request::new(key, events)).transpose()?;
        let seed = Seed::fresh();
        Ok(Self { events: make(events, seed, now)?, seed, request })
    }

    fn take(
        &self,
        conn: &Connection,
        events: &[Submission],
        now: UnixMicros,
    ) -> Result<Vec<Submitted>, Error> {
        if let Some(request) = &self.request
            && let Some(answer) = request.find(conn)?
        {
            return Ok(answer.again(events));
        }
        let submitted = add_all(conn, &self.events, now)?;
        if let Some(request) = &self.request {
            request.remember(conn, self.seed, now)?;
        }
        Ok(submitted)
    }
}

/// The events, if all of them can be some.
fn make(events: &[Submission], seed: Seed, now: UnixMicros) -> Result<Vec<MadeEvent>, Error> {
    if events.len() > MAX_SUBMISSION_EVENTS {
        return Err(Error::Unfit { index: MAX_SUBMISSION_EVENTS, why: Unfit::TooMany });
    }
    let numbered = events.iter().enumerate();
    let make = |(index, event): (usize, &Submission)| {
        event.make(|| seed.id(index), now).map_err(|why| Error::Unfit { index, why })
    };
    numbered.map(make).collect()
}

impl Submission {
    fn make(&self, fresh_id: impl FnOnce() -> String, now: UnixMicros) -> Result<MadeEvent, Unfit> {
        let id: Cow<'_, str> = match self.id.as_deref() {
            Some(id) if !is_id(id) => return Err(Unfit::Id),
            Some(id) => id.into(),
            None => fresh_id().into(),
        };
        let event = self.event(&id, self.at.unwrap_or(now))?;
        if event.body.len() > MAX_BODY_BYTES {
            return Err(Unfit::TooLarge);
        }
        // The time stands for nothing: who says the same again may say when.
        let own_id = match &self.id {
            Some(id) => Some(OwnId::new(&self.event(id, UnixMicros(0))?)),
            None => None,
        };
        Ok(MadeEvent { event, own_id })
    }

    fn event(&self, id: &str, at: UnixMicros) -> Result<Event, Unfit> {
        Event::new(id, &self.topic, &self.kind, at, &self.payload).map_err(|why| Unfit::Payload(why.into()))
    }
}

/// Writes what is new, if there is room for it.
fn add_all(conn: &Connection, made: &[MadeEvent], now: UnixMicros) -> Result<Vec<Submitted>, Error> {
    let mut add =
        conn.prepare_cached("INSERT INTO submitted (id, topic, submitted_at, body) VALUES (?1, ?2, ?3, ?4)")?;
    let mut submitted = Vec::with_capacity(made.len());
    let (mut count, mut bytes) = (0, 0);
    for (index, MadeEvent { event, own_id }) in made.iter().enumerate() {
        let known = own_id.as_ref().map_or(Ok(Known::New), |id| id.note(conn, now))?;
        if known == Known::Other {
            return Err(Error::IdConflict { index, id: event.id.clone() });
        }
        let duplicate = known == Known::Same;
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

/// An id that the caller has chosen, and what stands for its event when it comes again.
struct OwnId {
    id: Hash,
    content: Hash,
}

/// What is known of an id that comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    New,
    /// The same was submitted lately.
    Same,
    /// Something else was.
    Other,
}

impl OwnId {
    /// Of the body, which is the same however its JSON was spelled.
    fn new(event: &Event) -> Self {
        Self { id: Hash::of_id(&event.id), content: Hash::of(&[&event.body]) }
    }

    /// Notes it, if it is new.
    fn note(&self, conn: &Connection, now: UnixMicros) -> Result<Known, Error> {
        let Self { id, content } = self;
        let mut note = conn
            .prepare_cached("INSERT OR IGNORE INTO submitted_ids (hash, at, content) VALUES (?1, ?2, ?3)")?;
        if note.execute((id, now.0, content))? > 0 {
            return Ok(Known::New);
        }
        let mut same =
            conn.prepare_cached("SELECT content IS NULL OR content = ?2 FROM submitted_ids WHERE hash = ?1")?;
        let is_same = same.query_row((id, content), |row| row.get(0))?;
        Ok(if is_same { Known::Same } else { Known::Other })
    }
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
    fn find(&self, conn: &Connection) -> Result<Option<Answer>, Error> {
        let mut find =
            conn.prepare_cached("SELECT fingerprint, seed, ids FROM submitted_keys WHERE hash = ?1")?;
        let found = find.query_row([self.hash], |row| {
            let answer = match row.get(1)? {
                Some(seed) => Answer::Seed(seed),
                None => Answer::Ids(row.get(2)?),
            };
            Ok((row.get::<_, [u8; 32]>(0)?, answer))
        });
        match found.optional()? {
            Some((fingerprint, _)) if fingerprint != self.fingerprint => Err(Error::IdempotencyConflict),
            found => Ok(found.map(|(_, answer)| answer)),
        }
    }

    fn remember(&self, conn: &Connection, seed: Seed, now: UnixMicros) -> Result<(), Error> {
        let mut note = conn.prepare_cached(
            "INSERT INTO submitted_keys (hash, at, fingerprint, seed, ids) VALUES (?1, ?2, ?3, ?4, '')",
        )?;
        note.execute((self.hash, now.0, self.fingerprint, seed))?;
        Ok(())
    }
}

/// The ids that a request was answered with.
enum Answer {
    /// Its events' own, and those made of the seed.
    Seed(Seed),
    /// All of them, as an earlier version noted them: a line each.
    Ids(String),
}

impl Answer {
    /// The same again, for the same request.
    fn again(self, events: &[Submission]) -> Vec<Submitted> {
        let known = |id: &str| Submitted { id: id.into(), duplicate: true };
        match self {
            Self::Ids(ids) => ids.lines().map(known).collect(),
            Self::Seed(seed) => {
                let id = |index, own: Option<&str>| own.map_or_else(|| known(&seed.id(index)), known);
                events.iter().enumerate().map(|(index, event)| id(index, event.id.as_deref())).collect()
            }
        }
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
