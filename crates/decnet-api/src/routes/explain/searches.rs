//! Searches for events by id, which has no index: one at a time, and few that wait.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use decnet_core::limits::MAX_API_EXPLANATIONS;
use decnet_store::queue::Reader;
use tokio_util::sync::CancellationToken;

use crate::auth::PrincipalId;
use crate::pool::Pool;
use crate::problem::Problem;

/// The reader for searches, and the principals that search or wait.
pub(crate) struct Searches {
    reader: Pool<Reader>,
    active: ActiveSearches,
    limit: Duration,
}

#[derive(Clone, Default)]
struct ActiveSearches(Arc<Mutex<HashSet<PrincipalId>>>);

/// One search, which counts until dropped.
struct Search {
    active: ActiveSearches,
    principal: PrincipalId,
}

impl Searches {
    /// Creates searches that take at most `limit` each, from the start of their turn.
    pub(crate) fn new(
        limit: Duration,
        open: impl Fn() -> Result<Reader, Problem> + Send + Sync + 'static,
    ) -> Self {
        Self { reader: Pool::new(1, open, Reader::is_current), active: ActiveSearches::default(), limit }
    }

    /// Runs `search` when its turn comes. The callback returns whether to continue: within the limit, and while the caller waits
    /// for the answer.
    ///
    /// # Errors
    /// The principal has a search already, or [`MAX_API_EXPLANATIONS`] are waiting; else errors of opening the queue and of `search`.
    pub(crate) async fn run<R, E>(
        &self,
        principal: PrincipalId,
        search: impl FnOnce(&Reader, &dyn Fn() -> bool) -> Result<R, E> + Send + 'static,
    ) -> Result<R, Problem>
    where
        R: Send + 'static,
        E: Into<Problem>,
    {
        let search_guard = self.active.begin(principal)?;
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
}

impl ActiveSearches {
    fn begin(&self, principal: PrincipalId) -> Result<Search, Problem> {
        let mut active = self.all();
        if active.contains(&principal) {
            return Err(Problem::unavailable("another event search with the same credential is in progress"));
        }
        if active.len() >= MAX_API_EXPLANATIONS {
            return Err(Problem::unavailable("too many event searches are in progress"));
        }
        active.insert(principal.clone());
        Ok(Search { active: self.clone(), principal })
    }

    fn all(&self) -> MutexGuard<'_, HashSet<PrincipalId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        self.active.all().remove(&self.principal);
    }
}

#[cfg(test)]
mod tests {
    use decnet_store::queue::{Error, Options, Queue};

    use super::*;
    use crate::problem::Kind;

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
        assert_eq!(again.kind(), Kind::Unavailable, "one search per principal");
        let mut others: Vec<_> =
            (1..MAX_API_EXPLANATIONS).map(|n| Box::pin(searches.run(principal(n), at_once))).collect();
        for other in &mut others {
            assert!(futures_util::poll!(other).is_pending(), "it waits for its turn");
        }
        let more = searches.run(principal(MAX_API_EXPLANATIONS), at_once).await.unwrap_err();
        assert_eq!(more.kind(), Kind::Unavailable, "the number of waiting searches is bounded");
        // The first search ends because its caller is gone.
        drop(first);
        for other in others {
            assert!(other.await.is_ok());
        }
        assert!(searches.run(principal(0), at_once).await.is_ok());
        drop(queue);
    }
}
