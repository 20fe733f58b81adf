//! Looking for events by their ids, which have no index: one search at a time, and few that wait.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use decnet_core::limits::MAX_API_EXPLANATIONS;
use decnet_store::queue::Reader;
use tokio_util::sync::CancellationToken;

use crate::auth::PrincipalId;
use crate::pool::Pool;
use crate::problem::Problem;

/// What is looked with, and who looks or waits for it.
pub(crate) struct Searches {
    reader: Pool<Reader>,
    asking: Asking,
    limit: Duration,
}

#[derive(Clone, Default)]
struct Asking(Arc<Mutex<HashSet<PrincipalId>>>);

/// One search, over once this is dropped.
struct Search {
    asking: Asking,
    who: PrincipalId,
}

impl Searches {
    /// One search takes at most `limit`, from its turn on.
    pub(crate) fn new(
        limit: Duration,
        open: impl Fn() -> Result<Reader, Problem> + Send + Sync + 'static,
    ) -> Self {
        Self { reader: Pool::new(1, open, Reader::is_current), asking: Asking::default(), limit }
    }

    /// Runs `search` when it is its turn, and tells it whether to go on: within the limit, and while somebody waits for the
    /// answer.
    ///
    /// # Errors
    /// They have one under way already, or [`MAX_API_EXPLANATIONS`] are; else what opening the queue, or `search`, refuses.
    pub(crate) async fn run<R, E>(
        &self,
        who: PrincipalId,
        search: impl FnOnce(&Reader, &dyn Fn() -> bool) -> Result<R, E> + Send + 'static,
    ) -> Result<R, Problem>
    where
        R: Send + 'static,
        E: Into<Problem>,
    {
        let begun = self.asking.begin(who)?;
        let given_up = CancellationToken::new();
        let _gives_up = given_up.clone().drop_guard();
        let limit = self.limit;
        let work = move |reader: &mut Reader| {
            // Also where nobody waits any more, it counts until it is over.
            let _begun = begun;
            let until = Instant::now() + limit;
            search(reader, &|| !given_up.is_cancelled() && Instant::now() < until)
        };
        self.reader.run(work).await
    }
}

impl Asking {
    fn begin(&self, who: PrincipalId) -> Result<Search, Problem> {
        let mut asking = self.all();
        if asking.contains(&who) {
            return Err(Problem::unavailable("another event is being looked for with the same credential"));
        }
        if asking.len() >= MAX_API_EXPLANATIONS {
            return Err(Problem::unavailable("others have events looked for just now"));
        }
        asking.insert(who.clone());
        Ok(Search { asking: self.clone(), who })
    }

    fn all(&self) -> MutexGuard<'_, HashSet<PrincipalId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        self.asking.all().remove(&self.who);
    }
}

#[cfg(test)]
mod tests {
    use decnet_store::queue::{Error, Options, Queue};

    use super::*;
    use crate::problem::Kind;

    fn who(number: usize) -> PrincipalId {
        PrincipalId::Token(number.to_string().into())
    }

    fn at_once(_: &Reader, _: &dyn Fn() -> bool) -> Result<(), Error> {
        Ok(())
    }

    fn until_told(_: &Reader, go_on: &dyn Fn() -> bool) -> Result<(), Error> {
        while go_on() {
            std::thread::yield_now();
        }
        Ok(())
    }

    #[tokio::test]
    async fn nobody_takes_the_searches_of_all_others() {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::open(dir.path(), Options::default()).unwrap();
        let path = dir.path().to_owned();
        // No search of this test ends because its time is over.
        let searches = Searches::new(Duration::from_secs(3600), move || Ok(Reader::open(&path)?));
        let mut first = Box::pin(searches.run(who(0), until_told));
        assert!(futures_util::poll!(&mut first).is_pending());
        let again = searches.run(who(0), at_once).await.unwrap_err();
        assert_eq!(again.kind(), Kind::Unavailable, "one has one");
        let mut others: Vec<_> =
            (1..MAX_API_EXPLANATIONS).map(|n| Box::pin(searches.run(who(n), at_once))).collect();
        for other in &mut others {
            assert!(futures_util::poll!(other).is_pending(), "it waits for its turn");
        }
        let more = searches.run(who(MAX_API_EXPLANATIONS), at_once).await.unwrap_err();
        assert_eq!(more.kind(), Kind::Unavailable, "who would wait for too long is told so");
        // Nobody waits for the first any more, so it ends.
        drop(first);
        for other in others {
            assert!(other.await.is_ok());
        }
        assert!(searches.run(who(0), at_once).await.is_ok());
        drop(queue);
    }
}
