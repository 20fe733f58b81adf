//! Settlement: commits an attempt together with the resulting state, unless a later attempt was settled before.

use std::time::Duration;

use bytes::Bytes;
use decnet_core::delivery::{Reason, Rendered, State, Timings};
use decnet_core::limits::MAX_STORED_REPLY_BYTES;
use decnet_core::time::UnixMicros;
use rusqlite::{CachedStatement, Connection, Params};

use super::error::Error;
use super::id::DeliveryId;
use super::rendering;
use super::state::{DEAD, to_columns};
use super::writer_state::WriterState;

/// An attempt, and the state that `advance` derived from it.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The delivery.
    pub id: DeliveryId,
    /// The attempt.
    pub attempt: Attempt,
    /// The state of the delivery after the attempt.
    pub state: State,
    /// Whether the attempt was free: it used up no retry.
    pub is_free: bool,
    /// The rendering of the request, which retries use too; `None` for a plain event.
    pub rendered: Option<Rendered>,
}

/// One attempt to deliver an event: a POST request and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The number of the attempt, from 1.
    pub number: u32,
    /// The time at which the attempt started.
    pub started_at: UnixMicros,
    /// The duration of the attempt, stored in microseconds.
    pub duration: Duration,
    /// The HTTP status of the reply, if any.
    pub status: Option<u16>,
    /// The reason for a failure; not stored for a success.
    pub reason: Option<Reason>,
    /// Details for the operator; contains no secrets.
    pub detail: Option<Box<str>>,
    /// The beginning of the reply's body, of which at most `MAX_STORED_REPLY_BYTES` are stored.
    pub reply: Bytes,
    /// The durations of the phases; empty if they were not stored.
    pub timings: Timings,
    /// The number of times that the request was repeated within the attempt.
    pub repeats: u32,
}

/// Returns for each settlement whether it was applied. A settlement that came too late is not applied.
pub(super) fn settle(writer: &mut WriterState, batch: &[Settlement]) -> Result<Vec<bool>, Error> {
    let mut statements = Statements::prepare(&writer.conn)?;
    batch.iter().map(|settlement| statements.settle(&writer.conn, settlement)).collect()
}

struct Statements<'c> {
    deliver: CachedStatement<'c>,
    update: CachedStatement<'c>,
    insert: CachedStatement<'c>,
}

impl<'c> Statements<'c> {
    fn prepare(conn: &'c Connection) -> Result<Self, Error> {
        // `state IN (0, 1, 2)` would make SQLite build a B-tree of the three values for every row.
        Ok(Self {
            deliver: conn.prepare_cached(
                "UPDATE deliveries SET state = 3, attempts = ?2, due_at = NULL, settled_at = ?4,
                     duration_us = ?5, status = ?6, detail = ?8, reply = ?9,
                     resolve_us = ?10, connect_us = ?11, tls_us = ?12, first_byte_us = ?13, repeats = ?14
                 WHERE id = ?1 AND attempts = ?2 - 1 AND state < 3",
            )?,
            update: conn.prepare_cached(
                "UPDATE deliveries SET state = ?2, attempts = ?3, due_at = ?4, settled_at = ?5, reason = ?6,
                     free_attempts = free_attempts + ?7, rendering = coalesce(rendering, ?8),
                     body_hash = coalesce(body_hash, ?9)
                 WHERE id = ?1 AND attempts = ?3 - 1 AND state < 3",
            )?,
            insert: conn.prepare_cached(
                "INSERT INTO attempts (delivery, number, started_at, duration_us, status, reason, detail, reply,
                     resolve_us, connect_us, tls_us, first_byte_us, repeats)
                 VALUES (?1, ?2, ?3, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            )?,
        })
    }

    fn settle(&mut self, conn: &Connection, settlement: &Settlement) -> Result<bool, Error> {
        let Settlement { id, attempt, state, is_free, rendered } = settlement;
        if *state == State::Delivered {
            return Ok(self.deliver.execute(attempt.row(*id))? > 0);
        }
        let (state, due_at, reason) = to_columns(*state, id.0);
        let settled_at = (state == DEAD).then(|| attempt.ended_at().0);
        if let Some(rendered) = rendered {
            rendering::add(conn, &rendered.rendering)?;
        }
        let rendering = rendered.as_ref().map(|rendered| rendered.rendering.id);
        let body_hash = rendered.as_ref().and_then(|rendered| rendered.body_hash);
        let row = (id.0, state, attempt.number, due_at, settled_at, reason, is_free, rendering, body_hash);
        let applied = self.update.execute(row)? > 0;
        if applied {
            self.insert.execute(attempt.row(*id))?;
        }
        Ok(applied)
    }
}

impl Attempt {
    /// Returns the values that are stored, for `deliver` and `insert`; neither statement uses all of them.
    fn row(&self, id: DeliveryId) -> impl Params {
        let Timings { resolve, connect, tls, first_byte } = self.timings;
        (
            id.0,
            self.number,
            self.started_at.0,
            self.ended_at().0,
            micros(self.duration),
            self.status,
            self.reason.map(Reason::code),
            self.detail.as_deref(),
            self.stored_reply(),
            resolve.map(micros),
            connect.map(micros),
            tls.map(micros),
            first_byte.map(micros),
            (self.repeats > 0).then_some(self.repeats),
        )
    }

    fn ended_at(&self) -> UnixMicros {
        self.started_at.after(self.duration)
    }

    fn stored_reply(&self) -> Option<&[u8]> {
        let stored = self.reply.len().min(MAX_STORED_REPLY_BYTES);
        (stored > 0).then(|| &self.reply[..stored])
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
