//! Erasing what events held.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State as FromState;
use axum::http::StatusCode;
use decnet_store::queue::{Erase, Erased, Erasure as Steps, Operator};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::Routes;
use crate::auth::Scope;
use crate::body::Body;
use crate::problem::{Details, Problem};
use crate::state::{Shared, State, now};

/// How long the answer waits for the end; an erasure that takes longer goes on without being watched.
const PATIENCE: Duration = Duration::from_secs(20);

/// What to erase: either all of a subscription, or an event.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Erasure {
    /// All that was, and is still to be, sent to the subscription with this UUID, which may be deleted already.
    subscription: Option<String>,
    /// The event with this id, to whomever it goes.
    event_id: Option<String>,
    /// Only count.
    #[serde(default)]
    dry_run: bool,
}

/// What was erased, or would be.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
struct ErasureReport {
    /// Was everything seen to? If not, it goes on.
    finished: bool,
    dry_run: bool,
    /// Deliveries whose replies went.
    deliveries: u64,
    /// Of those, how many were still to be sent, and are given up.
    given_up: u64,
    /// Events whose bodies went.
    events: u64,
    /// Events that stay, because others still get them.
    shared: u64,
    /// Submitted events that no worker had taken yet.
    submitted: u64,
}

pub(super) fn routes(routes: Routes) -> Routes {
    routes.guarded(Scope::Admin, routes!(erase))
}

/// Erases the bodies of events, and what receivers answered, of a subscription or of one event. What is still to be sent is
/// given up. That deliveries were made stays known.
#[utoipa::path(post, path = "/api/v1/erasures", tag = "erasures", operation_id = "erase",
    request_body = Erasure,
    responses(
        (status = 200, body = ErasureReport, description = "Done"),
        (status = 202, body = ErasureReport, description = "It takes longer, and goes on"),
        (status = 404, body = Details, content_type = "application/problem+json", description = "The queue knows no such subscription"),
    ))]
async fn erase(
    FromState(state): FromState<Shared>,
    Body(asked): Body<Erasure>,
) -> Result<(StatusCode, Json<ErasureReport>), Problem> {
    let what = match (asked.subscription, asked.event_id) {
        (Some(uuid), None) => Erase::Subscription(uuid),
        (None, Some(id)) => Erase::Event(id),
        _ => return Err(Problem::invalid("give either `subscription` or `event_id`")),
    };
    let turn = Arc::clone(&state.erasing).try_acquire_owned();
    let turn = turn.map_err(|_| Problem::unavailable("other erasures are under way"))?;
    let dry_run = asked.dry_run;
    let (progress, mut seen) = watch::channel(Ok(ErasureReport { dry_run, ..ErasureReport::default() }));
    let task = Arc::clone(&state);
    // It holds its own connection: what it overwrites, it overwrites there.
    tokio::task::spawn_blocking(move || {
        let report = run(&task, what, dry_run, &progress);
        drop(progress.send_replace(report));
        drop(turn);
    });
    let is_over = |report: &Report| report.as_ref().map_or(true, |report| report.finished);
    // Whatever is known by then is told.
    drop(tokio::time::timeout(PATIENCE, seen.wait_for(is_over)).await);
    let report = seen.borrow().clone()?;
    Ok((if report.finished { StatusCode::OK } else { StatusCode::ACCEPTED }, Json(report)))
}

type Report = Result<ErasureReport, Problem>;

/// All of it, in short transactions, telling how far it is.
fn run(state: &State, what: Erase, dry_run: bool, progress: &watch::Sender<Report>) -> Report {
    let mut operator = Operator::open(&state.data_dir)?;
    let steps = Steps::begin(&operator, what, dry_run)?;
    let mut steps = steps.ok_or_else(|| Problem::not_found("the queue knows no such subscription"))?;
    while steps.step(&mut operator, now())? {
        drop(progress.send_replace(Ok(report(steps.done(), dry_run, false))));
    }
    if !dry_run {
        state.signal.changed();
        while operator.give_back()? {}
        // Where somebody reads the log just now, its bytes go with the next checkpoint.
        operator.empty_log()?;
    }
    Ok(report(steps.done(), dry_run, true))
}

fn report(done: &Erased, dry_run: bool, finished: bool) -> ErasureReport {
    let Erased { deliveries, given_up, events, shared, submitted } = *done;
    ErasureReport { finished, dry_run, deliveries, given_up, events, shared, submitted }
}
