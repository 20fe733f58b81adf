//! Release returns held deliveries to the queue. Discard gives up the waiting deliveries of a deleted subscription.

use decnet_core::delivery::Reason;
use decnet_core::limits::RETENTION_STEP_ROWS;
use decnet_core::time::UnixMicros;

use super::error::Error;
use super::id::{DeliveryId, SubscriptionKey};
use super::state::{QUEUED, RETRYING};
use super::writer_state::WriterState;
use crate::sql;

/// Changes HELD deliveries to QUEUED, ordered by admission. Other deliveries remain unchanged.
pub(super) fn release(writer: &mut WriterState, ids: &[DeliveryId]) -> Result<(), Error> {
    let mut update = writer
        .conn
        .prepare_cached("UPDATE deliveries SET state = 1, due_at = id WHERE id = ?1 AND state <= 0")?;
    for id in ids {
        update.execute([id.0])?;
    }
    Ok(())
}

/// Discards at most `RETENTION_STEP_ROWS` deliveries. Returns whether there may be more.
pub(super) fn discard(
    writer: &mut WriterState,
    sub: SubscriptionKey,
    now: UnixMicros,
) -> Result<bool, Error> {
    let mut left = RETENTION_STEP_ROWS;
    for state in [QUEUED, RETRYING] {
        let update = format!(
            "UPDATE deliveries SET state = 4, due_at = NULL, settled_at = ?2, reason = ?3
             WHERE id IN (SELECT id FROM deliveries WHERE state = {state} AND sub = ?1 LIMIT ?4)"
        );
        left -= sql::execute(&writer.conn, &update, (sub.0, now.0, Reason::Deleted.code(), left as i64))?;
    }
    Ok(left == 0)
}
