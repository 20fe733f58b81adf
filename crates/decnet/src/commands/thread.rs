//! Tasks that run beside the worker, each on a thread with a runtime of its own.

use std::sync::mpsc;

use anyhow::Context as _;
use tokio::sync::oneshot;

/// A thread that has started and runs a task.
pub(crate) struct RuntimeThread<T> {
    name: &'static str,
    ended: oneshot::Receiver<anyhow::Result<T>>,
}

/// The sender with which a thread reports whether it has started.
pub(crate) struct Ready(mpsc::Sender<anyhow::Result<()>>);

impl Ready {
    /// Reports that the thread has started.
    pub(crate) fn up(self) {
        // The receiver is gone only if the starting thread has failed.
        drop(self.0.send(Ok(())));
    }

    /// Reports that the start failed. The starting thread returns the error.
    pub(crate) fn failed<T: Default>(self, error: anyhow::Error) -> anyhow::Result<T> {
        drop(self.0.send(Err(error)));
        Ok(T::default())
    }
}

impl<T: Send + 'static> RuntimeThread<T> {
    /// Starts a thread and waits until it has started.
    ///
    /// # Errors
    /// The thread cannot be created, or it reports that its start failed.
    pub(crate) fn start<F>(
        name: &'static str,
        work: impl FnOnce(Ready) -> F + Send + 'static,
    ) -> anyhow::Result<Self>
    where
        F: Future<Output = anyhow::Result<T>>,
    {
        let (ready, up) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name(name.into());
        thread.spawn(move || {
            let result = runtime.block_on(work(Ready(ready)));
            // A pending name lookup or a receiver that does not answer must not delay the shutdown.
            runtime.shutdown_background();
            // `join` may not have been called.
            drop(end.send(result));
        })?;
        up.recv().with_context(|| format!("the {name} did not start"))??;
        Ok(Self { name, ended })
    }

    /// Waits for the task to end. Does not wait for blocking calls that the task has started.
    ///
    /// # Errors
    /// The task returned an error or panicked.
    pub(crate) async fn join(self) -> anyhow::Result<T> {
        let name = self.name;
        self.ended.await.unwrap_or_else(|_| Err(anyhow::anyhow!("the {name} thread panicked")))
    }
}

/// Combines the results of two concurrent tasks. If both failed, the first error is returned and the second is logged.
///
/// # Errors
/// Either task failed.
pub(crate) fn both<A, B>(first: anyhow::Result<A>, second: anyhow::Result<B>) -> anyhow::Result<(A, B)> {
    match (first, second) {
        (Ok(first), Ok(second)) => Ok((first, second)),
        (Err(first), Err(second)) => {
            tracing::error!("{second:#}");
            Err(first)
        }
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_of_two_errors_is_returned_and_the_second_is_logged() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let subscriber =
            tracing_subscriber::fmt().with_writer(std::sync::Arc::new(log.reopen().unwrap())).finish();
        let failed = |what: &'static str| anyhow::Result::<()>::Err(anyhow::anyhow!(what));
        tracing::subscriber::with_default(subscriber, || {
            let result = |first, second| both(first, second).map_err(|error| error.to_string());
            assert_eq!(result(failed("the worker"), failed("the API")), Err("the worker".into()));
            assert_eq!(result(Ok(()), failed("the bus")), Err("the bus".into()));
            assert_eq!(result(failed("the demo"), Ok(())), Err("the demo".into()));
            assert_eq!(result(Ok(()), Ok(())), Ok(((), ())));
        });
        let logged = std::fs::read_to_string(log.path()).unwrap();
        assert!(logged.contains("the API") && logged.lines().count() == 1, "{logged}");
    }

    #[tokio::test]
    async fn join_does_not_wait_for_blocking_threads() {
        let (release, held) = mpsc::channel::<()>();
        let thread = RuntimeThread::start("test", |ready| async {
            ready.up();
            let (began, is_blocked) = oneshot::channel();
            tokio::task::spawn_blocking(move || {
                began.send(()).unwrap();
                held.recv()
            });
            Ok(is_blocked.await?)
        });
        thread.unwrap().join().await.unwrap();
        drop(release);
    }
}
