//! The stored form of a delivery's state.

use decnet_core::delivery::{Reason, State};
use decnet_core::time::UnixMicros;
use rusqlite::Row;

/// Held for a long time and therefore indexed; see `held_watermark`. SQL here and in the other files uses literals, because
/// SQLite chooses a partial index only for a literal.
#[expect(dead_code, reason = "used only in SQL")]
pub(super) const LINGERING: i64 = -1;
/// Admitted recently, and in the worker's memory.
pub(super) const HELD: i64 = 0;
/// Waits in the queue for its lane.
pub(super) const QUEUED: i64 = 1;
/// Waits for the retry at `due_at`.
pub(super) const RETRYING: i64 = 2;
/// Final.
pub(super) const DELIVERED: i64 = 3;
/// Final, with a reason.
pub(super) const DEAD: i64 = 4;

/// Returns whether a stored state is final.
pub(super) fn is_final(stored: i64) -> bool {
    matches!(stored, DELIVERED | DEAD)
}

/// Returns the columns `state, due_at, reason` for a state.
pub(super) fn to_columns(state: State, order: i64) -> (i64, Option<i64>, Option<u8>) {
    match state {
        State::Pending => (QUEUED, Some(order), None),
        State::Retrying { due_at } => (RETRYING, Some(due_at.0), None),
        State::Delivered => (DELIVERED, None, None),
        State::Dead { reason } => (DEAD, None, Some(reason.code())),
    }
}

/// Reads the state from the columns `state, due_at, reason`, of which the first has the index `at`.
pub(super) fn from_columns(row: &Row<'_>, at: usize) -> rusqlite::Result<State> {
    Ok(match row.get::<_, i64>(at)? {
        RETRYING => State::Retrying { due_at: UnixMicros(row.get(at + 1)?) },
        DELIVERED => State::Delivered,
        DEAD => State::Dead { reason: reason(row, at + 2)?.unwrap_or(Reason::Internal) },
        _ => State::Pending,
    })
}

/// Reads the reason from a column. A code that only a later version defines is read as [`Reason::Internal`].
pub(super) fn reason(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Reason>> {
    let code: Option<u8> = row.get(at)?;
    Ok(code.map(|code| Reason::from_code(code).unwrap_or(Reason::Internal)))
}
