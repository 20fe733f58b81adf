//! The limit on streams.

use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use decnet_core::limits::{MAX_DASHBOARD_SESSION_STREAMS, MAX_DASHBOARD_STREAMS};
use decnet_runtime::sync::lock;
use tokio_util::sync::CancellationToken;

use crate::problem::Problem;
use crate::web::sessions::Session;

/// The open streams, the oldest first.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Mutex<Vec<Stream>>>);

struct Stream {
    session: Arc<Session>,
    evicted: CancellationToken,
}

/// The permit of one stream, released on drop.
pub(super) struct Permit {
    streams: Streams,
    /// Cancelled when a newer stream of the session takes the place of this one.
    pub(super) evicted: CancellationToken,
}

impl Streams {
    /// Returns a permit. Beyond [`MAX_DASHBOARD_SESSION_STREAMS`] the oldest stream of the session ends.
    ///
    /// # Errors
    /// There are [`MAX_DASHBOARD_STREAMS`] streams.
    pub(super) fn acquire(&self, session: &Arc<Session>) -> Result<Permit, Problem> {
        let mut streams = lock(&self.0);
        let is_own = |stream: &Stream| Arc::ptr_eq(&stream.session, session);
        if streams.iter().filter(|stream| is_own(stream)).count() >= MAX_DASHBOARD_SESSION_STREAMS
            && let Some(oldest) = streams.iter().position(is_own)
        {
            streams.remove(oldest).evicted.cancel();
        }
        if streams.len() >= MAX_DASHBOARD_STREAMS {
            return Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many pages of the dashboard are open; this page refreshes itself more slowly",
            ));
        }
        let evicted = CancellationToken::new();
        streams.push(Stream { session: Arc::clone(session), evicted: evicted.clone() });
        drop(streams);
        Ok(Permit { streams: self.clone(), evicted })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        // No other permit may be mistaken for this one once it is marked.
        self.evicted.cancel();
        lock(&self.streams.0).retain(|stream| !stream.evicted.is_cancelled());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::web::sessions::Sessions;
    use crate::web::sessions::tests::begin;

    fn session() -> Arc<Session> {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let id = begin(&sessions, 0, now);
        sessions.find(&id, now).unwrap()
    }

    #[test]
    fn oldest_stream_of_the_session_ends_for_a_new_one() {
        let (streams, own, other) = (Streams::default(), session(), session());
        let others = streams.acquire(&other).unwrap();
        let mut permits: Vec<_> =
            (0..=MAX_DASHBOARD_SESSION_STREAMS).map(|_| streams.acquire(&own).unwrap()).collect();
        let ended = |permit: &Permit| permit.evicted.is_cancelled();
        assert!(ended(&permits[0]) && !permits[1..].iter().any(ended) && !ended(&others));
        permits.pop();
        permits.push(streams.acquire(&own).unwrap());
        assert!(!permits[1..].iter().any(ended), "a closed page leaves its place");
        drop((permits, others));
        assert!(lock(&streams.0).is_empty());
    }

    #[test]
    fn streams_are_bounded_in_total() {
        let streams = Streams::default();
        let permits: Vec<_> =
            (0..MAX_DASHBOARD_STREAMS).map(|_| streams.acquire(&session()).unwrap()).collect();
        let refused = streams.acquire(&session()).err().unwrap();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        drop(permits);
        assert!(streams.acquire(&session()).is_ok());
    }
}
