//! One shared computation for identical concurrent requests, whose result is cached for a moment.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use decnet_core::limits::API_CACHE_TTL;
use tokio::sync::Mutex;

/// The last result, valid for a moment.
pub(crate) struct SingleFlight<T> {
    ttl: Duration,
    last: Mutex<Option<Last<T>>>,
    /// The number of invalidations.
    changes: AtomicU64,
}

struct Last<T> {
    result: T,
    computed_at: Instant,
    /// The number of invalidations when the computation began.
    changes: u64,
}

impl<T> Default for SingleFlight<T> {
    /// Returns one whose results are valid for [`API_CACHE_TTL`].
    fn default() -> Self {
        Self::lasting(API_CACHE_TTL)
    }
}

impl<T> SingleFlight<T> {
    /// Returns one whose results are valid for `ttl`.
    pub(crate) fn lasting(ttl: Duration) -> Self {
        Self { ttl, last: Mutex::default(), changes: AtomicU64::default() }
    }
}

impl<T: Clone> SingleFlight<T> {
    /// Returns the cached result or computes a new result. Concurrent callers wait for the same computation.
    ///
    /// # Errors
    /// Errors of `compute`, which are not cached.
    pub(crate) async fn get<E>(&self, compute: impl AsyncFnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut last = self.last.lock().await;
        let changes = self.changes.load(Ordering::Acquire);
        if let Some(last) = &*last
            && last.changes == changes
            && last.computed_at.elapsed() < self.ttl
        {
            return Ok(last.result.clone());
        }
        let result = compute().await?;
        *last = Some(Last { result: result.clone(), computed_at: Instant::now(), changes });
        Ok(result)
    }

    /// Invalidates the result, including that of a computation in progress.
    pub(crate) fn invalidate(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;

    use super::*;

    #[tokio::test]
    async fn concurrent_callers_share_one_computation() {
        let (flight, runs) = (SingleFlight::default(), Cell::new(0));
        let compute = async || {
            // By then, all callers are waiting.
            tokio::task::yield_now().await;
            runs.set(runs.get() + 1);
            Ok::<_, Infallible>(runs.get())
        };
        let Ok(found) = futures_util::future::try_join_all((0..100).map(|_| flight.get(compute))).await;
        assert!(found.iter().all(|found| *found == 1));
        flight.invalidate();
        assert_eq!(flight.get(compute).await, Ok(2));
    }

    #[tokio::test]
    async fn change_during_a_computation_invalidates_its_result() {
        let flight = SingleFlight::default();
        let stale = async || {
            flight.invalidate();
            Ok::<_, Infallible>("old")
        };
        assert_eq!(flight.get(stale).await, Ok("old"));
        assert_eq!(flight.get(async || Ok::<_, Infallible>("new")).await, Ok("new"));
    }

    #[tokio::test]
    async fn errors_are_not_cached() {
        let flight = SingleFlight::default();
        assert_eq!(flight.get(async || Err::<(), _>("busy")).await, Err("busy"));
        assert_eq!(flight.get(async || Ok::<_, &str>(())).await, Ok(()));
    }
}
