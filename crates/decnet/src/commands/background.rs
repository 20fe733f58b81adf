//! Something that runs on a thread and a runtime of its own, beside the worker.

use std::sync::mpsc;

use anyhow::Context as _;
use tokio::sync::oneshot;

/// A thread that was started, and is up.
pub(crate) struct Background<T> {
    name: &'static str,
    ended: oneshot::Receiver<anyhow::Result<T>>,
}

/// Says whether a thread came up.
pub(crate) struct Ready(mpsc::Sender<anyhow::Result<()>>);

impl Ready {
    /// It did.
    pub(crate) fn up(self) {
        // Whoever started us waits for this, unless it has failed itself.
        drop(self.0.send(Ok(())));
    }

    /// It did not; whoever started it reports why.
    pub(crate) fn failed<T: Default>(self, error: anyhow::Error) -> anyhow::Result<T> {
        drop(self.0.send(Err(error)));
        Ok(T::default())
    }
}

impl<T: Send + 'static> Background<T> {
    /// Starts a thread and waits until it is up.
    ///
    /// # Errors
    /// No thread, or what it says of its start.
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
            // A name that does not resolve, or a receiver that does not answer, must not hold up the end.
            runtime.shutdown_background();
            // Nobody may wait for it any more.
            drop(end.send(result));
        })?;
        up.recv().with_context(|| format!("the {name} did not start"))??;
        Ok(Self { name, ended })
    }

    /// Waits for the end of its work; what that has left on threads for blocking calls is not waited for.
    ///
    /// # Errors
    /// What it ended with, or a panic.
    pub(crate) async fn join(self) -> anyhow::Result<T> {
        let name = self.name;
        self.ended.await.unwrap_or_else(|_| Err(anyhow::anyhow!("the {name} broke")))
    }
}

/// What two that ran side by side came to. Only one error can be the result: the first; a second one is logged.
///
/// # Errors
/// What either ended with.
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
    fn of_two_errors_one_is_the_result_and_the_other_is_logged() {
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
    async fn the_end_waits_for_no_thread_that_is_blocked() {
        let (release, held) = mpsc::channel::<()>();
        let background = Background::start("test", |ready| async {
            ready.up();
            let (began, is_blocked) = oneshot::channel();
            tokio::task::spawn_blocking(move || {
                began.send(()).unwrap();
                held.recv()
            });
            Ok(is_blocked.await?)
        });
        background.unwrap().join().await.unwrap();
        drop(release);
    }
}
