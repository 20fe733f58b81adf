//! Units of work for the writer.

use tokio::sync::oneshot;

use super::error::Error;
use super::writer_state::WriterState;

/// A unit of work that runs in a transaction, which may be rolled back and retried. The caller is answered after the commit.
pub(super) trait Job: Send {
    /// Returns the approximate number of rows that the job writes; 0 if it only reads.
    fn rows(&self) -> usize;
    /// Executes the job inside a transaction. This may be called again after a rollback.
    fn apply(&mut self, writer: &mut WriterState) -> Result<(), Error>;
    /// Sends the caller the output of `apply`, or the error of the transaction.
    fn answer(self: Box<Self>, result: Result<(), Error>);
}

/// A [`Job`] made of a function.
pub(super) struct Task<T, F> {
    pub(super) rows: usize,
    pub(super) work: F,
    pub(super) output: Option<T>,
    pub(super) reply: oneshot::Sender<Result<T, Error>>,
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnMut(&mut WriterState) -> Result<T, Error> + Send,
{
    fn rows(&self) -> usize {
        self.rows
    }

    fn apply(&mut self, writer: &mut WriterState) -> Result<(), Error> {
        self.output = Some((self.work)(writer)?);
        Ok(())
    }

    fn answer(self: Box<Self>, result: Result<(), Error>) {
        let Self { output, reply, .. } = *self;
        let answer = result.and_then(|()| output.ok_or(Error::Closed));
        // The caller may have dropped its future.
        drop(reply.send(answer));
    }
}
