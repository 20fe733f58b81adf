//! Files that block, kept off the async thread: a few connections, each used by one request at a time.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::problem::Problem;

type Open<T> = dyn Fn() -> Result<T, Problem> + Send + Sync;

/// A bounded number of connections to one file, shared by clones, opened when they are first needed. Requests beyond them wait their
/// turn; how many there can be is bounded by the connections that the server takes.
pub(crate) struct Pool<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    open: Box<Open<T>>,
    idle: Mutex<Vec<T>>,
    turns: Semaphore,
}

impl<T> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<T: Send + 'static> Pool<T> {
    pub(crate) fn new(size: usize, open: impl Fn() -> Result<T, Problem> + Send + Sync + 'static) -> Self {
        let (open, idle) = (Box::new(open), Mutex::default());
        Self { inner: Arc::new(Inner { open, idle, turns: Semaphore::new(size) }) }
    }

    /// Runs `work` with a connection, on a thread that may block. A connection whose work failed is not used
    /// again: its file may have been replaced.
    ///
    /// # Errors
    /// What opening the file, or `work`, refuses.
    pub(crate) async fn run<R, E>(
        &self,
        work: impl FnOnce(&mut T) -> Result<R, E> + Send + 'static,
    ) -> Result<R, Problem>
    where
        R: Send + 'static,
        E: Into<Problem>,
    {
        let inner = Arc::clone(&self.inner);
        let turn = self.inner.turns.acquire().await.map_err(|_| Problem::stopping())?;
        let done = tokio::task::spawn_blocking(move || inner.work(work)).await;
        drop(turn);
        done.unwrap_or_else(|error| Err(Problem::internal("a look into a file broke off", &error)))
    }
}

impl<T> Inner<T> {
    fn work<R, E: Into<Problem>>(&self, work: impl FnOnce(&mut T) -> Result<R, E>) -> Result<R, Problem> {
        let idle = self.idle().pop();
        let mut connection = idle.map_or_else(|| (self.open)(), Ok)?;
        let result = work(&mut connection).map_err(Into::into)?;
        self.idle().push(connection);
        Ok(result)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<T>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
