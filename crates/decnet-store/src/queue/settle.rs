//! Settle: an attempt and the state it led to become durable together, if it is still that attempt's turn.

use std::time::Duration;

use bytes::Bytes;
use decnet_core::delivery::{Reason, State, Timings};
use decnet_core::limits::KEPT_REPLY_BYTES;
use decnet_core::time::UnixMicros;
use rusqlite::{CachedStatement, Connection};

use super::error::Error;
use super::id::DeliveryId;
use super::ledger::Ledger;
use super::state::{DEAD, to_columns};

/// An attempt, and what `advance` made of it.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// Which delivery.
    pub id: DeliveryId,
    /// The attempt that was made.
    pub attempt: Attempt,
    /// The state it led to.
    pub state: State,
}

/// One POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// When it began.
    pub started_at: UnixMicros,
    /// How long it took, to the microsecond.
    pub duration: Duration,
    /// HTTP status, if there was a reply.
    pub status: Option<u16>,
    /// Why it did not deliver; not kept of one that did.
    pub reason: Option<Reason>,
    /// More for the operator, nothing secret.
    pub detail: Option<Box<str>>,
    /// The beginning of the reply's body; `KEPT_REPLY_BYTES` of it are kept.
    pub reply: Bytes,
    /// Where the time went; of none of them if that was not kept.
    pub timings: Timings,
    /// How often the request was sent again within the attempt.
    pub repeats: u32,
}

/// One flag a settlement: was it applied, or did it come too late?
pub(super) fn settle(ledger: &mut Ledger, batch: &[Settlement]) -> Result<Vec<bool>, Error> {
    let mut statements = Statements::prepare(&ledger.conn)?;
    batch.iter().map(|settlement| statements.settle(settlement)).collect()
}

struct Statements<'c> {
    deliver: CachedStatement<'c>,
    update: CachedStatement<'c>,
    insert: CachedStatement<'c>,
}

impl<'c> Statements<'c> {
    fn prepare(conn: &'c Connection) -> Result<Self, Error> {
        // `state IN (0, 1, 2)` would build a tree of its three values for every row.
        Ok(Self {
            deliver: conn.prepare_cached(
                "UPDATE deliveries SET state = 3, attempts = ?2, due_at = NULL, settled_at = ?3,
                     duration_us = ?4, status = ?5, reply = ?6,
                     resolve_us = ?7, connect_us = ?8, tls_us = ?9, first_byte_us = ?10,
                     detail = ?11, repeats = ?12
                 WHERE id = ?1 AND attempts = ?2 - 1 AND state < 3",
            )?,
            update: conn.prepare_cached(
                "UPDATE deliveries SET state = ?2, attempts = ?3, due_at = ?4, settled_at = ?5, reason = ?6
                 WHERE id = ?1 AND attempts = ?3 - 1 AND state < 3",
            )?,
            insert: conn.prepare_cached(
                "INSERT INTO attempts (delivery, number, started_at, duration_us, status, reason, detail, reply,
                     resolve_us, connect_us, tls_us, first_byte_us, repeats)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            )?,
        })
    }

    fn settle(&mut self, Settlement { id, attempt, state }: &Settlement) -> Result<bool, Error> {
        if *state == State::Delivered {
            return self.deliver(*id, attempt);
        }
        let (state, due_at, reason) = to_columns(*state, id.raw());
        let settled_at = (state == DEAD).then(|| attempt.ended_at().0);
        let applied = self.update.execute((id.raw(), state, attempt.number, due_at, settled_at, reason))? > 0;
        if applied {
            self.record(*id, attempt)?;
        }
        Ok(applied)
    }

    fn deliver(&mut self, id: DeliveryId, attempt: &Attempt) -> Result<bool, Error> {
        let settled_at = attempt.ended_at().0;
        let timings = attempt.timings;
        let row = (
            id.raw(),
            attempt.number,
            settled_at,
            attempt.duration_us(),
            attempt.status,
            attempt.kept_reply(),
            timings.resolve.map(micros),
            timings.connect.map(micros),
            timings.tls.map(micros),
            timings.first_byte.map(micros),
            attempt.detail.as_deref(),
            attempt.kept_repeats(),
        );
        Ok(self.deliver.execute(row)? > 0)
    }

    fn record(&mut self, id: DeliveryId, attempt: &Attempt) -> Result<(), Error> {
        let timings = attempt.timings;
        self.insert.execute((
            id.raw(),
            attempt.number,
            attempt.started_at.0,
            attempt.duration_us(),
            attempt.status,
            attempt.reason.map(Reason::code),
            attempt.detail.as_deref(),
            attempt.kept_reply(),
            timings.resolve.map(micros),
            timings.connect.map(micros),
            timings.tls.map(micros),
            timings.first_byte.map(micros),
            attempt.kept_repeats(),
        ))?;
        Ok(())
    }
}

impl Attempt {
    fn ended_at(&self) -> UnixMicros {
        self.started_at.after(self.duration)
    }

    fn duration_us(&self) -> i64 {
        micros(self.duration)
    }

    fn kept_reply(&self) -> Option<&[u8]> {
        let kept = self.reply.len().min(KEPT_REPLY_BYTES);
        (kept > 0).then(|| &self.reply[..kept])
    }

    fn kept_repeats(&self) -> Option<u32> {
        (self.repeats > 0).then_some(self.repeats)
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
