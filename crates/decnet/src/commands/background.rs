//! Something that runs on a thread and a runtime of its own, beside the worker.

use std::sync::mpsc;
use std::thread::JoinHandle;

use anyhow::Context as _;

/// A thread that was started, and is up.
pub(crate) struct Background<T> {
    name: &'static str,
    thread: JoinHandle<anyhow::Result<T>>,
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
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name(name.into());
        let thread = thread.spawn(move || runtime.block_on(work(Ready(ready))))?;
        up.recv().with_context(|| format!("the {name} did not start"))??;
        Ok(Self { name, thread })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// What it ended with, or a panic.
    pub(crate) fn join(self) -> anyhow::Result<T> {
        let name = self.name;
        self.thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the {name} broke")))
    }
}
