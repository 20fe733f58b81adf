//! Events on their way into the queue: what waits while one commit runs goes into the next, together.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::http::HeaderValue;
use axum::http::header::RETRY_AFTER;
use decnet_core::limits::{API_TROUBLE_MEMORY, MAX_API_COMMIT_EVENTS};
use decnet_store::queue::{Error, IdempotencyKey, Operator, Submission, Submitted};
use tokio::sync::oneshot;

use crate::auth::PrincipalId;
use crate::pool::Pool;
use crate::problem::{Kind, Problem};
use crate::room::{Full, Room, Rooms};
use crate::signal::Signal;
use crate::state::now;

/// Hands events in; clones share one queue of them.
#[derive(Clone)]
pub(crate) struct Submitter {
    operators: Pool<Operator>,
    signal: Signal,
    waiting: Arc<Mutex<Waiting>>,
    rooms: Rooms,
}

#[derive(Default)]
struct Waiting {
    calls: VecDeque<Call>,
    /// Somebody commits now, and comes back for what waits.
    busy: bool,
    /// What stood in the way of the last commit, and since when.
    trouble: Option<(Instant, Problem)>,
}

/// One request.
struct Call {
    batch: Batch,
    caller: Caller,
}

/// Its events.
struct Batch {
    events: Vec<Submission>,
    /// Who says the idempotency key, and the key.
    key: Option<(String, String)>,
}

/// Who waits for the commit.
struct Caller {
    answer: oneshot::Sender<Result<Vec<Submitted>, Problem>>,
    /// The bytes count until they are committed.
    _room: Room,
}

impl From<Full> for Problem {
    fn from(_: Full) -> Self {
        busy("too many events are on their way at once")
    }
}

impl Submitter {
    pub(crate) fn new(operators: Pool<Operator>, signal: Signal) -> Self {
        Self { operators, signal, waiting: Arc::default(), rooms: Rooms::default() }
    }

    /// Room for the body of a request of `sender`'s, to be taken as it comes and held until its events are on the disk.
    pub(crate) fn room(&self, sender: PrincipalId) -> Room {
        self.rooms.enter(sender)
    }

    /// Hands events in; they are on the disk when this answers.
    ///
    /// # Errors
    /// What is wrong with them, or in the way.
    pub(crate) async fn submit(
        &self,
        events: Vec<Submission>,
        key: Option<(String, String)>,
        room: Room,
    ) -> Result<Vec<Submitted>, Problem> {
        let (answer, answered) = oneshot::channel();
        let is_first = {
            let mut waiting = self.waiting();
            waiting
                .calls
                .push_back(Call { batch: Batch { events, key }, caller: Caller { answer, _room: room } });
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

    /// Each hears what became of its own, and all of them what stood in the way of the whole.
    fn answer(&self, callers: Vec<Caller>, committed: Result<Vec<Result<Vec<Submitted>, Error>>, Problem>) {
        self.waiting().trouble = committed.as_ref().err().map(|problem| (Instant::now(), problem.clone()));
        let results = match committed {
            Ok(results) => results.into_iter().map(|result| result.map_err(refused)).collect(),
            Err(problem) => vec![Err(problem); callers.len()],
        };
        if results.iter().flatten().flatten().any(|submitted| !submitted.duplicate) {
            self.signal.submitted();
        }
        for (caller, result) in callers.into_iter().zip(results) {
            // Who has gone meanwhile may ask again with the same key, or the same ids.
            drop(caller.answer.send(result));
        }
    }

    /// What lately stood in the way of all events. It is forgotten after a while: whoever waits for us to be ready again
    /// sends none that could show it.
    pub(crate) fn trouble(&self) -> Option<Problem> {
        let waiting = self.waiting();
        let (at, problem) = waiting.trouble.as_ref()?;
        (at.elapsed() < API_TROUBLE_MEMORY).then(|| problem.clone())
    }

    /// What is committed next, in order and together; nothing if nothing waits.
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
    async fn what_stands_in_the_way_of_all_events_is_remembered_until_one_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        let operators = Pool::new(1, move || Ok(Operator::open(&path)?), Operator::is_current);
        let submitter = Submitter::new(operators, Signal::new(Vec::new(), None));
        let room = || submitter.room(PrincipalId::Token("a".into()));
        let submit = async || submitter.submit(Vec::new(), None, room()).await;
        assert!(submitter.trouble().is_none());
        let refused = submit().await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Unavailable, "there is no queue");
        assert_eq!(
            submitter.trouble().map(|problem| problem.detail().to_owned()).as_deref(),
            Some(refused.detail())
        );
        let queue =
            decnet_store::queue::Queue::open(dir.path(), decnet_store::queue::Options::default()).unwrap();
        assert!(submit().await.is_ok() && submitter.trouble().is_none());
        drop(queue);
    }
}
