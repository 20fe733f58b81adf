//! Searches for events by id, which has no index: one search at a time, and a bounded number of waiting searches.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use decnet_core::limits::MAX_API_EXPLANATIONS;
use decnet_runtime::sync::lock;
use decnet_store::queue::Reader;
use tokio_util::sync::CancellationToken;

use crate::auth::PrincipalId;
use crate::pool::Pool;
use crate::problem::Problem;

/// The reader for searches, and the principals that search or wait.
pub(crate) struct Searches {
    reader: Pool<Reader>,
    active: Arc<Mutex<HashSet<PrincipalId>>>,
    limit: Duration,
}

/// One search, which counts until dropped.
struct Search {
    active: Arc<Mutex<HashSet<PrincipalId>>>,
    principal: PrincipalId,
}

impl Searches {
    /// Creates searches that take at most `limit` each, from the start of their turn.
    pub(crate) fn new(
        limit: Duration,
        open: impl Fn() -> Result<Reader, Problem> + Send + Sync + 'static,
    ) -> Self {
        Self { reader: Pool::new(1, open, Reader::is_current), active: Arc::default(), limit }
    }

    /// Runs `search` when its turn comes. The callback returns whether to continue: within the limit, and while the caller waits
    /// for the result.
    ///
    /// # Errors
    /// The principal already has a search, or [`MAX_API_EXPLANATIONS`] searches are waiting. Otherwise, errors of opening the
    /// queue and of `search`.
    pub(crate) async fn run<R, E>(
        &self,
        principal: PrincipalId,
        search: impl FnOnce(&Reader, &dyn Fn() -> bool) -> Result<R, E> + Send + 'static,
    ) -> Result<R, Problem>
    where
        R: Send + 'static,
        E: Into<Problem>,
    {
        let search_guard = self.begin(principal)?;
        let cancelled = CancellationToken::new();
        let _cancel_guard = cancelled.clone().drop_guard();
        let limit = self.limit;
        let work = move |reader: &mut Reader| {
            // The search counts until it ends, even if the caller is gone.
            let _search_guard = search_guard;
            let until = Instant::now() + limit;
            search(reader, &|| !cancelled.is_cancelled() && Instant::now() < until)
        };
        self.reader.run(work).await
    }

    fn begin(&self, principal: PrincipalId) -> Result<Search, Problem> {
        let mut active = lock(&self.active);
        if active.contains(&principal) {
            return Err(Problem::unavailable("another event search with the same credential is in progress"));
        }
        if active.len() >= MAX_API_EXPLANATIONS {
            return Err(Problem::unavailable("too many event searches are in progress"));
        }
        active.insert(principal.clone());
        Ok(Search { active: Arc::clone(&self.active), principal })
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        lock(&self.active).remove(&self.principal);
    }
}

#[cfg(test)]
mod tests {
    use decnet_store::queue::{Error, Options, Queue};

    use super::*;
    use axum::http::StatusCode;

    fn principal(number: usize) -> PrincipalId {
        PrincipalId::Token(number.to_string().into())
    }

    fn at_once(_: &Reader, _: &dyn Fn() -> bool) -> Result<(), Error> {
        Ok(())
    }

    fn until_stopped(_: &Reader, go_on: &dyn Fn() -> bool) -> Result<(), Error> {
        while go_on() {
            std::thread::yield_now();
        }
        Ok(())
    }

    #[tokio::test]
    async fn one_principal_cannot_take_all_searches() {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::open(dir.path(), Options::default()).unwrap();
        let path = dir.path().to_owned();
        // No search of this test reaches the time limit.
        let searches = Searches::new(Duration::from_secs(3600), move || Ok(Reader::open(&path)?));
        let mut first = Box::pin(searches.run(principal(0), until_stopped));
        assert!(futures_util::poll!(&mut first).is_pending());
        let again = searches.run(principal(0), at_once).await.unwrap_err();
        assert_eq!(again.status(), StatusCode::SERVICE_UNAVAILABLE, "one search per principal");
        let mut others: Vec<_> =
            (1..MAX_API_EXPLANATIONS).map(|n| Box::pin(searches.run(principal(n), at_once))).collect();
        for other in &mut others {
            assert!(futures_util::poll!(other).is_pending(), "it waits for its turn");
        }
        let more = searches.run(principal(MAX_API_EXPLANATIONS), at_once).await.unwrap_err();
        assert_eq!(
            more.status(),
            StatusCode::SERVICE_UNAVAILABLE,
            "the number of waiting searches is bounded"
        );
        // The first search ends because its caller is gone.
        drop(first);
        for other in others {
            assert!(other.await.is_ok());
        }
        assert!(searches.run(principal(0), at_once).await.is_ok());
        drop(queue);
    }
}
