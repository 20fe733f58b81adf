//! Group commit of submitted events: requests that arrive during one commit share the next.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::http::HeaderValue;
use axum::http::header::RETRY_AFTER;
use decnet_core::limits::{API_TROUBLE_MEMORY, MAX_API_COMMIT_EVENTS};
use decnet_store::queue::{Error, IdempotencyKey, Operator, Submission, Submitted};
use tokio::sync::oneshot;

use crate::auth::PrincipalId;
use crate::body_budget::{BodyBudget, BodyReservation, BudgetExceeded};
use crate::pool::Pool;
use crate::problem::{Kind, Problem};
use crate::state::now;
use crate::worker_notify::WorkerNotifier;

/// Submits events; clones share one queue.
#[derive(Clone)]
pub(crate) struct GroupCommit {
    operators: Pool<Operator>,
    notifier: WorkerNotifier,
    waiting: Arc<Mutex<Waiting>>,
    budget: BodyBudget,
}

#[derive(Default)]
struct Waiting {
    calls: VecDeque<Call>,
    /// Whether a task is committing; it continues until nothing waits.
    busy: bool,
    /// The error of the last commit, and its time.
    last_error: Option<(Instant, Problem)>,
}

/// One request: its events and its caller.
struct Call {
    batch: Batch,
    caller: Caller,
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
    /// Counts the bytes until they are committed.
    _reservation: BodyReservation,
}

impl From<BudgetExceeded> for Problem {
    fn from(_: BudgetExceeded) -> Self {
        busy("too many submitted bytes wait to be committed; try again later")
    }
}

impl GroupCommit {
    pub(crate) fn new(operators: Pool<Operator>, notifier: WorkerNotifier) -> Self {
        Self { operators, notifier, waiting: Arc::default(), budget: BodyBudget::default() }
    }

    /// Starts a reservation for the body of a request of `sender`, held until its events are committed.
    pub(crate) fn reserve(&self, sender: PrincipalId) -> BodyReservation {
        self.budget.reserve(sender)
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
            let mut waiting = self.waiting();
            waiting.calls.push_back(Call {
                batch: Batch { events, key },
                caller: Caller { answer, _reservation: reservation },
            });
            !std::mem::replace(&mut waiting.busy, true)
        };
        if is_first {
            tokio::spawn(self.clone().commit_all());
        }
        answered.await.unwrap_or_else(|_| Err(Problem::stopping()))
    }

    async fn commit_all(self) {
        while let Some(calls) = self.next() {
            let (batches, callers): (Vec<Batch>, Vec<Caller>) =
                calls.into_iter().map(|call| (call.batch, call.caller)).unzip();
            let commit = move |operator: &mut Operator| commit(operator, &batches).map_err(refused);
            self.answer(callers, self.operators.run(commit).await);
        }
    }

    /// Sends each caller its result. An error of the whole commit goes to all callers.
    fn answer(&self, callers: Vec<Caller>, committed: Result<Vec<Result<Vec<Submitted>, Error>>, Problem>) {
        self.waiting().last_error = committed.as_ref().err().map(|problem| (Instant::now(), problem.clone()));
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

    /// Returns the error of the last commit, for a while. It expires because clients that wait for readiness send no events that
    /// could clear it.
    pub(crate) fn last_error(&self) -> Option<Problem> {
        let waiting = self.waiting();
        let (at, problem) = waiting.last_error.as_ref()?;
        (at.elapsed() < API_TROUBLE_MEMORY).then(|| problem.clone())
    }

    /// Takes the next calls to commit together, in order. Returns `None` if nothing waits.
    fn next(&self) -> Option<Vec<Call>> {
        let mut waiting = self.waiting();
        let (mut calls, mut events) = (Vec::new(), 0);
        while let Some(call) = waiting.calls.front()
            && (calls.is_empty() || events + call.batch.events.len() <= MAX_API_COMMIT_EVENTS)
        {
            events += call.batch.events.len();
            calls.extend(waiting.calls.pop_front());
        }
        waiting.busy = !calls.is_empty();
        waiting.busy.then_some(calls)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn commit(operator: &mut Operator, batches: &[Batch]) -> Result<Vec<Result<Vec<Submitted>, Error>>, Error> {
    let calls: Vec<_> = batches
        .iter()
        .map(|Batch { events, key }| {
            let key = key.as_ref().map(|(scope, key)| IdempotencyKey { scope, key });
            (events.as_slice(), key)
        })
        .collect();
    operator.submit_all(&calls, now())
}

fn refused(error: Error) -> Problem {
    match error {
        Error::Unfit { .. } => Problem::invalid(error.to_string()),
        Error::IdempotencyConflict | Error::IdConflict { .. } => {
            Problem::new(Kind::Conflict, error.to_string())
        }
        Error::Backlogged | Error::Replaced { .. } => busy(&error.to_string()),
        error => error.into(),
    }
}

fn busy(what: &str) -> Problem {
    Problem::new(Kind::Unavailable, what).with(RETRY_AFTER, HeaderValue::from_static("1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn error_is_kept_until_a_commit_succeeds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        let operators = Pool::new(1, move || Ok(Operator::open(&path)?), Operator::is_current);
        let commits = GroupCommit::new(operators, WorkerNotifier::new(Vec::new(), None));
        let reserve = || commits.reserve(PrincipalId::Token("a".into()));
        let submit = async || commits.submit(Vec::new(), None, reserve()).await;
        assert!(commits.last_error().is_none());
        let refused = submit().await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Unavailable, "there is no queue");
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
