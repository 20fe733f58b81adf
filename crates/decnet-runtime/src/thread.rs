//! Threads with a runtime of their own, for tasks that run in parallel with the worker.

use std::io;
use std::sync::mpsc;

use tokio::sync::oneshot;

/// A thread that has started and runs a task.
#[derive(Debug)]
pub struct RuntimeThread<T, E = ThreadError> {
    name: &'static str,
    ended: oneshot::Receiver<Result<T, E>>,
}

/// The failure of a thread, apart from the errors of its task.
#[derive(Debug, thiserror::Error)]
pub enum ThreadError {
    /// The thread or its runtime cannot be created.
    #[error("cannot start the thread `{0}`")]
    Start(&'static str, #[source] io::Error),
    /// The task panicked.
    #[error("the {0} thread panicked")]
    Panicked(&'static str),
}

/// The sender with which a thread reports whether it has started.
#[derive(Debug)]
pub struct Ready<E = ThreadError>(mpsc::Sender<Result<(), E>>);

impl<E> Ready<E> {
    /// Reports that the thread has started.
    pub fn up(self) {
        // The receiver is gone only if the starting thread has failed.
        drop(self.0.send(Ok(())));
    }

    /// Reports that the start failed. The starting thread returns the error.
    ///
    /// # Errors
    /// None. The return type is the return type of the task.
    pub fn failed<T: Default>(self, error: E) -> Result<T, E> {
        drop(self.0.send(Err(error)));
        Ok(T::default())
    }
}

impl<T: Send + 'static, E: From<ThreadError> + Send + 'static> RuntimeThread<T, E> {
    /// Starts a thread and waits until it has started.
    ///
    /// # Errors
    /// The thread cannot be created, or it reports that its start failed.
    pub fn start<F>(name: &'static str, work: impl FnOnce(Ready<E>) -> F + Send + 'static) -> Result<Self, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let (ready, up) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| ThreadError::Start(name, error))?;
        let run = move || {
            let result = runtime.block_on(work(Ready(ready)));
            // A pending name lookup or a receiver that does not answer must not delay the shutdown.
            runtime.shutdown_background();
            // `join` may not have been called.
            drop(end.send(result));
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(run);
        thread.map_err(|error| ThreadError::Start(name, error))?;
        up.recv().map_err(|_| ThreadError::Panicked(name))??;
        Ok(Self { name, ended })
    }

    /// Waits for the task to end. Does not wait for blocking calls that the task has started.
    ///
    /// # Errors
    /// The task returned an error or panicked.
    pub async fn join(self) -> Result<T, E> {
        let name = self.name;
        self.ended.await.unwrap_or_else(|_| Err(ThreadError::Panicked(name).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn join_does_not_wait_for_blocking_threads() {
        let (release, held) = mpsc::channel::<()>();
        let thread = RuntimeThread::start("test", |ready: Ready| async {
            ready.up();
            let (began, is_blocked) = oneshot::channel();
            tokio::task::spawn_blocking(move || {
                began.send(()).unwrap();
                held.recv()
            });
            is_blocked.await.map_err(|_| ThreadError::Panicked("test"))
        });
        thread.unwrap().join().await.unwrap();
        drop(release);
    }
}
