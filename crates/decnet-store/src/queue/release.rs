//! Release: what memory gives up waits in the queue. Forget: what waits for a deleted subscription is dead.

use decnet_core::delivery::Reason;
use decnet_core::limits::RETENTION_STEP_ROWS;
use decnet_core::time::UnixMicros;

use super::error::Error;
use super::id::{DeliveryId, SubscriptionKey};
use super::ledger::Ledger;

/// HELD becomes QUEUED, in its place by admission; anything else stays as it is.
pub(super) fn release(ledger: &mut Ledger, ids: &[DeliveryId]) -> Result<(), Error> {
    let mut update = ledger
        .conn
        .prepare_cached("UPDATE deliveries SET state = 1, due_at = id WHERE id = ?1 AND state <= 0")?;
    for id in ids {
        update.execute([id.raw()])?;
    }
    Ok(())
}

/// One bounded step; true if there is more to do.
pub(super) fn forget(ledger: &mut Ledger, sub: SubscriptionKey, now: UnixMicros) -> Result<bool, Error> {
    let mut left = RETENTION_STEP_ROWS;
    for state in ["1", "2"] {
        let mut update = ledger.conn.prepare_cached(&format!(
            "UPDATE deliveries SET state = 4, due_at = NULL, settled_at = ?2, reason = ?3
             WHERE id IN (SELECT id FROM deliveries WHERE state = {state} AND sub = ?1 LIMIT ?4)"
        ))?;
        left -= update.execute((sub.0, now.0, Reason::Deleted.code(), left as i64))?;
    }
    Ok(left == 0)
}
