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

#[cfg(test)]
mod tests {
    use super::*;

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
