//! Group commit of submitted events: requests that arrive during one commit share the next commit.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::http::StatusCode;
use decnet_core::limits::{API_NOT_READY_TIME, MAX_API_COMMIT_EVENTS};
use decnet_runtime::sync::lock;
use decnet_store::queue::{Error, ExternalWriter, IdempotencyKey, Submission, Submitted};
use tokio::sync::oneshot;

use crate::body_budget::{BodyBudget, BodyReservation};
use crate::pool::Pool;
use crate::problem::Problem;
use crate::state::now;
use crate::worker_notify::WorkerNotifier;

/// Submits events; clones share one queue.
#[derive(Clone)]
pub(crate) struct GroupCommit {
    queue_writers: Pool<ExternalWriter>,
    notifier: WorkerNotifier,
    waiting: Arc<Mutex<Waiting>>,
    /// The memory for the bodies of requests until their events are committed.
    pub(crate) budget: BodyBudget,
}

#[derive(Default)]
struct Waiting {
    calls: VecDeque<(Batch, Caller)>,
    /// Whether a task is committing. The task continues until no batch waits.
    busy: bool,
    /// The error of the last commit, and its time.
    last_error: Option<(Instant, Problem)>,
}

/// The events of one request.
struct Batch {
    events: Vec<Submission>,
    /// The scope of the idempotency key, and the key.
    key: Option<(String, String)>,
}

/// The caller that waits for the commit.
struct Caller {
    answer: oneshot::Sender<Result<Vec<Submitted>, Problem>>,
    /// The reservation of the body's bytes until the events are committed.
    _reservation: BodyReservation,
}

impl Batch {
    fn as_call(&self) -> (&[Submission], Option<IdempotencyKey<'_>>) {
        let key = self.key.as_ref().map(|(scope, key)| IdempotencyKey { scope, key });
        (&self.events, key)
    }
}

impl GroupCommit {
    pub(crate) fn new(queue_writers: Pool<ExternalWriter>, notifier: WorkerNotifier) -> Self {
        Self { queue_writers, notifier, waiting: Arc::default(), budget: BodyBudget::default() }
    }

    /// Submits events. They are durable when this returns.
    ///
    /// # Errors
    /// Invalid events, or a queue that cannot be written.
    pub(crate) async fn submit(
        &self,
        events: Vec<Submission>,
        key: Option<(String, String)>,
        reservation: BodyReservation,
    ) -> Result<Vec<Submitted>, Problem> {
        let (answer, answered) = oneshot::channel();
        let is_first = {
            let mut waiting = lock(&self.waiting);
            let caller = Caller { answer, _reservation: reservation };
            waiting.calls.push_back((Batch { events, key }, caller));
            !std::mem::replace(&mut waiting.busy, true)
        };
        if is_first {
            tokio::spawn(self.clone().commit_all());
        }
        answered.await.unwrap_or_else(|_| Err(Problem::stopping()))
    }

    async fn commit_all(self) {
        while let Some(calls) = self.next() {
            let (batches, callers): (Vec<Batch>, Vec<Caller>) = calls.into_iter().unzip();
            let commit = move |writer: &mut ExternalWriter| {
                let calls: Vec<_> = batches.iter().map(Batch::as_call).collect();
                writer.submit_all(&calls, now()).map_err(refused)
            };
            self.answer(callers, self.queue_writers.run(commit).await);
        }
    }

    /// Sends each caller its result. An error of the whole commit goes to all callers.
    fn answer(&self, callers: Vec<Caller>, committed: Result<Vec<Result<Vec<Submitted>, Error>>, Problem>) {
        lock(&self.waiting).last_error =
            committed.as_ref().err().map(|problem| (Instant::now(), problem.clone()));
        let results = match committed {
            Ok(results) => results.into_iter().map(|result| result.map_err(refused)).collect(),
            Err(problem) => vec![Err(problem); callers.len()],
        };
        if results.iter().flatten().flatten().any(|submitted| !submitted.duplicate) {
            self.notifier.submitted();
        }
        for (caller, result) in callers.into_iter().zip(results) {
            // A caller that is gone may repeat its request with the same key or ids.
            drop(caller.answer.send(result));
        }
    }

    /// Returns the error of the last commit until it expires. Errors expire because clients that wait for readiness send no
    /// events, so no commit would clear the error.
    pub(crate) fn last_error(&self) -> Option<Problem> {
        let waiting = lock(&self.waiting);
        let (at, problem) = waiting.last_error.as_ref()?;
        (at.elapsed() < API_NOT_READY_TIME).then(|| problem.clone())
    }

    /// Removes and returns the next batches to commit together, in order; `None` if no batch waits.
    fn next(&self) -> Option<Vec<(Batch, Caller)>> {
        let mut waiting = lock(&self.waiting);
        let (mut calls, mut events) = (Vec::new(), 0);
        while let Some((batch, _)) = waiting.calls.front()
            && (calls.is_empty() || events + batch.events.len() <= MAX_API_COMMIT_EVENTS)
        {
            events += batch.events.len();
            calls.extend(waiting.calls.pop_front());
        }
        waiting.busy = !calls.is_empty();
        waiting.busy.then_some(calls)
    }
}

fn refused(error: Error) -> Problem {
    match error {
        Error::InvalidSubmission { .. } => Problem::invalid(error.to_string()),
        Error::IdempotencyConflict | Error::IdConflict { .. } => {
            Problem::new(StatusCode::CONFLICT, error.to_string())
        }
        Error::Backlogged | Error::Replaced { .. } => Problem::busy(error.to_string()),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::PrincipalId;

    #[tokio::test]
    async fn error_is_kept_until_a_commit_succeeds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        let queue_writers =
            Pool::new(1, move || Ok(ExternalWriter::open(&path)?), ExternalWriter::is_current);
        let commits = GroupCommit::new(queue_writers, WorkerNotifier::new(Vec::new(), None));
        let reserve = || commits.budget.reserve(PrincipalId::Token("a".into()));
        let submit = async || commits.submit(Vec::new(), None, reserve()).await;
        assert!(commits.last_error().is_none());
        let refused = submit().await.unwrap_err();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE, "the queue does not exist");
        assert_eq!(
            commits.last_error().map(|problem| problem.detail().to_owned()).as_deref(),
            Some(refused.detail())
        );
        let queue =
            decnet_store::queue::Queue::open(dir.path(), decnet_store::queue::Options::default()).unwrap();
        assert!(submit().await.is_ok() && commits.last_error().is_none());
        drop(queue);
    }
}
