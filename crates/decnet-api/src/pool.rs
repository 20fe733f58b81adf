//! Connection pools for blocking files: work runs on blocking threads, one request per connection at a time.

use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use decnet_runtime::sync::lock;
use tokio::sync::Semaphore;

use crate::problem::Problem;

type Open<T> = dyn Fn() -> Result<T, Problem> + Send + Sync;

/// A bounded pool of connections to one file, opened on first use and shared by clones. Further requests wait; their
/// number is bounded by the connections that the server accepts.
pub(crate) struct Pool<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    open: Box<Open<T>>,
    /// Returns whether the connection's file is still the one at its path.
    is_current: fn(&T) -> bool,
    idle: Mutex<Vec<T>>,
    permits: Arc<Semaphore>,
}

impl<T> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<T: Send + 'static> Pool<T> {
    pub(crate) fn new(
        size: usize,
        open: impl Fn() -> Result<T, Problem> + Send + Sync + 'static,
        is_current: fn(&T) -> bool,
    ) -> Self {
        let (open, idle, permits) = (Box::new(open), Mutex::default(), Arc::new(Semaphore::new(size)));
        Self { inner: Arc::new(Inner { open, is_current, idle, permits }) }
    }

    /// Runs `work` with a connection on a blocking thread. A connection is dropped if its file was replaced, such as by a
    /// restore, or if `work` failed with an internal or temporary error.
    ///
    /// # Errors
    /// Errors of opening the file and of `work`.
    pub(crate) async fn run<R, E>(
        &self,
        work: impl FnOnce(&mut T) -> Result<R, E> + Send + 'static,
    ) -> Result<R, Problem>
    where
        R: Send + 'static,
        E: Into<Problem>,
    {
        let inner = Arc::clone(&self.inner);
        let permit = Arc::clone(&inner.permits).acquire_owned().await.map_err(|_| Problem::stopping())?;
        // The permit is released when the work ends, even if the caller is gone.
        let done = tokio::task::spawn_blocking(move || {
            let result = inner.work(work);
            drop(permit);
            result
        })
        .await;
        done.unwrap_or_else(|error| Err(Problem::internal("a file operation was aborted", &error)))
    }
}

impl<T> Inner<T> {
    fn work<R, E: Into<Problem>>(&self, work: impl FnOnce(&mut T) -> Result<R, E>) -> Result<R, Problem> {
        let idle = lock(&self.idle).pop().filter(self.is_current);
        let mut connection = idle.map_or_else(|| (self.open)(), Ok)?;
        let result = work(&mut connection).map_err(Into::into);
        if !result.as_ref().is_err_and(is_fault) {
            lock(&self.idle).push(connection);
        }
        result
    }
}

/// Returns whether the error casts doubt on the connection. An error caused by the request or the data does not.
fn is_fault(problem: &Problem) -> bool {
    matches!(problem.status(), StatusCode::INTERNAL_SERVER_ERROR | StatusCode::SERVICE_UNAVAILABLE)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use decnet_store::catalog::{Catalog, Create};

    use super::*;

    #[tokio::test]
    async fn work_without_a_caller_keeps_its_permit_until_done() {
        let pool = Pool::new(1, || Ok(()), |()| true);
        let (release, held) = mpsc::channel::<()>();
        let first = pool.run(move |()| Ok::<_, Problem>(held.recv().is_ok()));
        assert!(tokio::time::timeout(Duration::from_millis(20), first).await.is_err(), "the caller gave up");
        let second = tokio::spawn(async move { pool.run(|()| Ok::<_, Problem>(())).await.is_ok() });
        tokio::task::yield_now().await;
        assert!(!second.is_finished(), "the permit is still held");
        release.send(()).unwrap();
        assert!(second.await.unwrap());
    }

    #[tokio::test]
    async fn work_completes_after_its_caller_is_dropped() {
        let pool = Pool::new(1, || Ok(()), |()| true);
        let (release, held) = mpsc::channel::<()>();
        let (notify, notified) = tokio::sync::oneshot::channel();
        let work = move |_: &mut ()| {
            let released = held.recv().map_err(|_| Problem::stopping());
            released.inspect(|()| notify.send(()).unwrap())
        };
        let mut change = Box::pin(pool.run(work));
        assert!(futures_util::poll!(&mut change).is_pending(), "the change has begun");
        drop(change);
        release.send(()).unwrap();
        notified.await.unwrap();
    }

    /// Returns a pool of one catalog and the number of times it was opened.
    fn catalogs(path: &Path) -> (Pool<Catalog>, Arc<AtomicUsize>) {
        let (path, opened) = (path.to_owned(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&opened);
        let open = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(Catalog::open(&path, Create::IfMissing)?)
        };
        (Pool::new(1, open, Catalog::is_current), opened)
    }

    #[tokio::test]
    async fn connection_is_kept_unless_its_file_fails() {
        let dir = tempfile::tempdir().unwrap();
        let (pool, opened) = catalogs(&dir.path().join("decnet.db"));
        for refusal in [None, Some(Problem::not_found("none")), Some(Problem::invalid("no"))] {
            drop(pool.run(move |_| refusal.map_or(Ok(()), Err)).await);
        }
        assert_eq!(opened.load(Ordering::Relaxed), 1);
        drop(pool.run(|_| Err::<(), _>(Problem::unavailable("busy"))).await);
        drop(pool.run(|_| Ok::<_, Problem>(())).await);
        assert_eq!(opened.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn moved_file_is_not_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("decnet.db");
        let (pool, opened) = catalogs(&path);
        pool.run(|_| Ok::<_, Problem>(())).await.unwrap();
        for file in ["decnet.db", "decnet.db-wal", "decnet.db-shm"] {
            std::fs::rename(dir.path().join(file), dir.path().join(format!("old-{file}"))).unwrap();
        }
        pool.run(|_| Ok::<_, Problem>(())).await.unwrap();
        assert!(path.exists() && opened.load(Ordering::Relaxed) == 2);
    }
}
