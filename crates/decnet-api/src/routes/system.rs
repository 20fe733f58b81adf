//! Health, readiness and version.

use std::convert::Infallible;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use decnet_store::queue::is_owned;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::Routes;
use crate::auth::Scope;
use crate::state::Shared;

/// The path of health checks.
pub(crate) const HEALTH: &str = "/api/v1/health";

/// The response of a running process.
#[derive(Debug, Serialize, ToSchema)]
struct Alive {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// The running program.
#[derive(Debug, Serialize, ToSchema)]
struct Version {
    /// Name of the program.
    #[schema(example = "decnet")]
    name: &'static str,
    /// Version of the program.
    #[schema(example = "0.1.0")]
    version: &'static str,
}

/// Whether the API is ready, by part.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// Whether every part below except the bus works.
    ready: bool,
    /// Whether the subscriptions can be read.
    catalog: bool,
    /// Whether the deliveries can be read and the last submitted events could be written.
    queue: bool,
    /// Whether a worker owns the queue.
    worker: bool,
    /// Whether the bus answers. Without the bus, events arrive only over HTTP, and the worker applies changes within a minute.
    bus: bool,
    /// The parts that do not work, with the reason.
    reasons: Vec<String>,
}

pub(super) fn routes(routes: Routes) -> Routes {
    routes.public(routes!(health)).public(routes!(ready)).guarded(Scope::Read, routes!(version))
}

/// Returns `ok` while the process is alive.
#[utoipa::path(get, path = "/api/v1/health", tag = "system", responses((status = 200, body = Alive)))]
async fn health() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

/// Returns whether the API is ready; 503 with the reasons if not. Readiness is checked at most once a second.
#[utoipa::path(get, path = "/api/v1/ready", tag = "system",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
async fn ready(State(state): State<Shared>) -> (StatusCode, Json<Readiness>) {
    // This route is public, so concurrent requests share one check.
    let Ok(readiness) = state.readiness.get(async || Ok::<_, Infallible>(check(&state).await)).await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness))
}

async fn check(state: &Shared) -> Readiness {
    let catalog = state.catalog.run(|catalog| catalog.page(0, 1)).await.map(drop);
    let queue = state.queue.run(|queue| queue.newest()).await.map(drop);
    let queue = queue.and_then(|()| state.group_commit.last_error().map_or(Ok(()), Err));
    let data_dir = state.data_dir.clone();
    let owned = tokio::task::spawn_blocking(move || is_owned(&data_dir)).await;
    let worker = matches!(owned, Ok(Ok(true)));
    let bus = state.notifier.is_bus_reachable().await;
    let failed = [&catalog, &queue].into_iter().filter_map(|checked| checked.as_ref().err());
    let mut reasons: Vec<String> = failed.map(|problem| problem.detail().into()).collect();
    if !worker {
        reasons.push("no worker is running on this data directory".into());
    }
    if state.notifier.has_bus() && !bus {
        reasons.push("the bus does not answer".into());
    }
    let (catalog, queue) = (catalog.is_ok(), queue.is_ok());
    Readiness { ready: catalog && queue && worker, catalog, queue, worker, bus, reasons }
}

/// Returns the name and version of the program.
#[utoipa::path(get, path = "/api/v1/version", tag = "system", responses((status = 200, body = Version)))]
async fn version() -> Json<Version> {
    Json(Version { name: "decnet", version: env!("CARGO_PKG_VERSION") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_path_is_registered() {
        let (_, document) = routes(Routes::new()).split();
        assert!(document.paths.paths.contains_key(HEALTH));
    }
}
