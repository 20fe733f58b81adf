//! What the worker has done lately, as its counters show it. The worker keeps the counts in memory, the API caches them, and the
//! dashboard draws them.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State as Extracted;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::auth::Scope;
use crate::problem::Problem;
use crate::routes::Routes;
use crate::state::Shared;

/// The traffic of the worker. Counts begin with the start of the worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Traffic {
    /// The time of the worker's start.
    pub since: String,
    /// The worker's connection to the bus.
    pub bus: BusLink,
    /// The last minute.
    pub now: Interval,
    /// The last hour in 60 intervals, the oldest first; null while the worker did not run. The last interval has not ended.
    pub hour: Vec<Option<Interval>>,
    /// The last 24 hours in 96 intervals, the oldest first; null while the worker did not run. The last interval has not ended.
    pub day: Vec<Option<Interval>>,
}

/// What happened in an interval.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Interval {
    /// The beginning of the interval.
    pub at: String,
    /// The time that was counted, in seconds; less than the interval if it has not ended, or if the worker started within it.
    pub seconds: f64,
    /// Events committed to the queue.
    pub admitted: u64,
    /// Deliveries that a receiver accepted.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed_attempts: u64,
    /// Deliveries that became dead.
    pub dead: u64,
    /// Half of the deliveries took at most this long, in milliseconds from the event to the 2xx, including retries and waiting;
    /// null without deliveries. Estimated from a histogram.
    pub latency_p50_ms: Option<f64>,
    /// 99 % of the deliveries took at most this long, in milliseconds.
    pub latency_p99_ms: Option<f64>,
    /// The maximum number of deliveries that waited.
    pub waiting: u64,
    /// The maximum age of the oldest waiting delivery, in seconds.
    pub oldest_seconds: f64,
}

/// The worker's connection to the bus.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BusLink {
    /// `connected`, `away`, or `none` if no bus is configured.
    #[schema(example = "connected")]
    pub state: String,
    /// Why events can be lost, if they can: the bus does not keep them for the worker.
    pub problem: Option<String>,
    /// Events that the bus has dropped since its start; null if it does not report them.
    pub dropped: Option<u64>,
    /// How often publishers had to wait since the start of the bus; null if it does not report it.
    pub publisher_pauses: Option<u64>,
}

/// The recent activity of subscriptions by UUID: for each interval, the deliveries and the failed attempts, the oldest interval
/// first. Subscriptions without activity are missing.
pub type Activity = HashMap<Box<str>, Vec<(u32, u32)>>;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.guarded(Scope::Read, routes!(traffic))
}

/// Returns rates, latency and backlog of the last minute, hour and day.
///
/// The worker counts them in memory; a restart of the worker begins anew. Responses are cached for one second.
#[utoipa::path(get, path = "/api/v1/traffic", tag = "system",
    responses((status = 200, body = Traffic), (status = 503, description = "No worker answers.")))]
async fn traffic(Extracted(state): Extracted<Shared>) -> Result<Json<Traffic>, Problem> {
    let traffic = state.traffic.get(async || state.metrics.traffic().await.ok_or_else(no_worker)).await?;
    Ok(Json(traffic))
}

fn no_worker() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "no worker answers on this data directory, so there are no counts of its traffic",
    )
}
