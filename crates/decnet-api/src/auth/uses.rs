//! When a token was used last: noted in the catalog at most once an interval, off the request's path.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use decnet_core::limits::{MAX_API_TOKENS, TOKEN_USE_INTERVAL};
use decnet_core::time::UnixMicros;

use crate::state::Shared;

/// What was noted lately, or is being noted.
#[derive(Default)]
pub(super) struct Uses(Mutex<HashMap<Arc<str>, UnixMicros>>);

impl Uses {
    /// Is it time for a note? If so, whoever asks writes it.
    fn is_due(&self, id: &Arc<str>, noted_at: Option<UnixMicros>, now: UnixMicros) -> bool {
        // A use that was noted in the future was noted by a wrong clock.
        let is_recent = |at: &UnixMicros| *at <= now && now.since(*at) < TOKEN_USE_INTERVAL;
        if noted_at.as_ref().is_some_and(is_recent) {
            return false;
        }
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.get(id).is_some_and(is_recent) {
            return false;
        }
        if notes.len() >= MAX_API_TOKENS {
            notes.retain(|_, at| is_recent(at));
        }
        notes.insert(Arc::clone(id), now);
        true
    }
}

/// Notes that a token was used, if that is due. The request does not wait for it.
pub(super) fn note(state: &Shared, id: &Arc<str>, noted_at: Option<UnixMicros>, now: UnixMicros) {
    if !state.gate.uses.is_due(id, noted_at, now) {
        return;
    }
    let (state, id) = (Arc::clone(state), Arc::clone(id));
    tokio::spawn(async move {
        let noted = state.catalog.run(move |catalog| catalog.note_token_use(&id, now)).await;
        if noted.is_err() {
            // The reason was logged where it arose; the next try is an interval away.
            tracing::debug!("the use of a token was not noted");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_note_an_interval_whoever_asks() {
        let (uses, id) = (Uses::default(), Arc::from("a"));
        let at = |seconds| UnixMicros(0).after(std::time::Duration::from_secs(seconds));
        let interval = TOKEN_USE_INTERVAL.as_secs();
        assert!(uses.is_due(&id, None, at(0)) && !uses.is_due(&id, None, at(0)));
        assert!(!uses.is_due(&id, None, at(interval - 1)) && uses.is_due(&id, None, at(interval)));
        // Somebody else noted it.
        assert!(!uses.is_due(&id, Some(at(2 * interval)), at(2 * interval + 1)));
        assert!(uses.is_due(&id, Some(at(0)), at(3 * interval)));
        // The clock was ahead, and is right again.
        assert!(uses.is_due(&id, Some(at(1000 * interval)), at(2 * interval)));
    }
}
