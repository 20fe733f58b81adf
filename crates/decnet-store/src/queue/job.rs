//! One thing that the writer is asked to do.

use tokio::sync::oneshot;

use super::error::Error;
use super::ledger::Ledger;

/// Done in a transaction that may be rolled back and begun again, answered after its commit.
pub(super) trait Job: Send {
    /// About how many rows it writes; 0 if it only reads.
    fn rows(&self) -> usize;
    /// Does it, inside a transaction.
    fn apply(&mut self, ledger: &mut Ledger) -> Result<(), Error>;
    /// Tells the caller: what `apply` found, or why it could not be kept.
    fn answer(self: Box<Self>, result: Result<(), Error>);
}

/// A job made of a function.
pub(super) struct Task<T, F> {
    pub(super) rows: usize,
    pub(super) work: F,
    pub(super) found: Option<T>,
    pub(super) reply: oneshot::Sender<Result<T, Error>>,
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnMut(&mut Ledger) -> Result<T, Error> + Send,
{
    fn rows(&self) -> usize {
        self.rows
    }

    fn apply(&mut self, ledger: &mut Ledger) -> Result<(), Error> {
        self.found = Some((self.work)(ledger)?);
        Ok(())
    }

    fn answer(self: Box<Self>, result: Result<(), Error>) {
        let Self { found, reply, .. } = *self;
        let answer = result.and_then(|()| found.ok_or(Error::Closed));
        // A caller who no longer waits has nothing to be told.
        drop(reply.send(answer));
    }
}
