//! How a delivery's state is stored.

use decnet_core::delivery::{Reason, State};
use decnet_core::time::UnixMicros;
use rusqlite::Row;

/// Held for long, and therefore indexed; see `trail`. Literals in SQL, here and below, let it find its indexes.
#[expect(dead_code, reason = "only SQL says it")]
pub(super) const LINGERING: i64 = -1;
/// Freshly admitted, and in the worker's memory.
pub(super) const HELD: i64 = 0;
/// Waits in the queue behind its lane.
pub(super) const QUEUED: i64 = 1;
/// Again at `due_at`.
pub(super) const RETRYING: i64 = 2;
/// Final.
pub(super) const DELIVERED: i64 = 3;
/// Final, with a reason.
pub(super) const DEAD: i64 = 4;

/// Is a stored state one that nothing follows?
pub(super) fn is_final(stored: i64) -> bool {
    matches!(stored, DELIVERED | DEAD)
}

/// The columns `state, due_at, reason` of a state.
pub(super) fn to_columns(state: State, order: i64) -> (i64, Option<i64>, Option<u8>) {
    match state {
        State::Pending => (QUEUED, Some(order), None),
        State::Retrying { due_at } => (RETRYING, Some(due_at.0), None),
        State::Delivered => (DELIVERED, None, None),
        State::Dead { reason } => (DEAD, None, Some(reason.code())),
    }
}

/// The state in the columns from `at` on: `state, due_at, reason`.
pub(super) fn from_columns(row: &Row<'_>, at: usize) -> rusqlite::Result<State> {
    Ok(match row.get::<_, i64>(at)? {
        RETRYING => State::Retrying { due_at: UnixMicros(row.get(at + 1)?) },
        DELIVERED => State::Delivered,
        DEAD => State::Dead { reason: reason(row, at + 2)?.unwrap_or(Reason::Internal) },
        _ => State::Pending,
    })
}

/// The reason in a column; one that a later version wrote counts as internal.
pub(super) fn reason(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Reason>> {
    let code: Option<u8> = row.get(at)?;
    Ok(code.map(|code| Reason::from_code(code).unwrap_or(Reason::Internal)))
}
