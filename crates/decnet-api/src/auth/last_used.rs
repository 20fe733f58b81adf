//! The time of a token's last use, written to the catalog at most once per interval, off the request path.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use decnet_core::limits::{MAX_API_TOKENS, TOKEN_USE_INTERVAL};
use decnet_core::time::UnixMicros;
use decnet_runtime::sync::lock;

use crate::state::Shared;

/// The times of recent writes, or of writes in progress, by token id.
#[derive(Default)]
pub(super) struct LastUsed(Mutex<HashMap<Arc<str>, UnixMicros>>);

impl LastUsed {
    /// Returns whether a write is due; the caller must then write it.
    fn is_due(&self, id: &Arc<str>, recorded_at: Option<UnixMicros>, now: UnixMicros) -> bool {
        // A use recorded in the future was recorded by a wrong clock.
        let is_recent = |at: &UnixMicros| *at <= now && now.since(*at) < TOKEN_USE_INTERVAL;
        if recorded_at.as_ref().is_some_and(is_recent) {
            return false;
        }
        let mut recent = lock(&self.0);
        if recent.get(id).is_some_and(is_recent) {
            return false;
        }
        if recent.len() >= MAX_API_TOKENS {
            recent.retain(|_, at| is_recent(at));
        }
        recent.insert(Arc::clone(id), now);
        true
    }
}

/// Records the use of a token if a write is due. The request does not wait for it.
pub(super) fn record(state: &Shared, id: &Arc<str>, recorded_at: Option<UnixMicros>, now: UnixMicros) {
    if !state.gate.last_used.is_due(id, recorded_at, now) {
        return;
    }
    let (state, id) = (Arc::clone(state), Arc::clone(id));
    tokio::spawn(async move {
        let recorded = state.catalog.run(move |catalog| catalog.record_token_use(&id, now)).await;
        if recorded.is_err() {
            // The cause was logged where it occurred; the next attempt follows after an interval.
            tracing::debug!("the last use of a token was not recorded");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_is_recorded_once_per_interval() {
        let (last_used, id) = (LastUsed::default(), Arc::from("a"));
        let at = |seconds| UnixMicros(0).after(std::time::Duration::from_secs(seconds));
        let interval = TOKEN_USE_INTERVAL.as_secs();
        assert!(last_used.is_due(&id, None, at(0)) && !last_used.is_due(&id, None, at(0)));
        assert!(!last_used.is_due(&id, None, at(interval - 1)) && last_used.is_due(&id, None, at(interval)));
        // Another process recorded the use.
        assert!(!last_used.is_due(&id, Some(at(2 * interval)), at(2 * interval + 1)));
        assert!(last_used.is_due(&id, Some(at(0)), at(3 * interval)));
        // The clock was ahead, and is right again.
        assert!(last_used.is_due(&id, Some(at(1000 * interval)), at(2 * interval)));
    }
}
