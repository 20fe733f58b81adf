//! Is it alive, is it ready, which version is it?

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

/// Where whoever watches the process asks.
pub(crate) const HEALTH: &str = "/api/v1/health";

/// The process answers.
#[derive(Debug, Serialize, ToSchema)]
struct Alive {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// What runs here.
#[derive(Debug, Serialize, ToSchema)]
struct Version {
    /// The program.
    #[schema(example = "decnet")]
    name: &'static str,
    /// Its version.
    #[schema(example = "0.1.0")]
    version: &'static str,
}

/// Can it do its work?
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// Is everything below in order, the bus aside?
    ready: bool,
    /// The subscriptions can be read.
    catalog: bool,
    /// The deliveries can be read, and the last events that came could be written.
    queue: bool,
    /// A worker owns the queue, and delivers.
    worker: bool,
    /// The bus answers. Without it events come in by HTTP only, and the worker learns of changes within a minute.
    bus: bool,
    /// What is not in order.
    reasons: Vec<String>,
}

pub(super) fn routes(routes: Routes) -> Routes {
    routes.public(routes!(health)).public(routes!(ready)).guarded(Scope::Read, routes!(version))
}

/// Is the process alive?
#[utoipa::path(get, path = "/api/v1/health", tag = "system", responses((status = 200, body = Alive)))]
async fn health() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

/// Can it do its work? 503 with the reasons if not. Looked at once a second at most.
#[utoipa::path(get, path = "/api/v1/ready", tag = "system",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
async fn ready(State(state): State<Shared>) -> (StatusCode, Json<Readiness>) {
    // Everybody may ask: one look is for all who do.
    let Ok(readiness) = state.readiness.get(async || Ok::<_, Infallible>(look(&state).await)).await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness))
}

async fn look(state: &Shared) -> Readiness {
    let catalog = state.catalog.run(|catalog| catalog.page(0, 1)).await.map(drop);
    let queue = state.queue.run(|queue| queue.newest()).await.map(drop);
    let queue = queue.and_then(|()| state.submitter.trouble().map_or(Ok(()), Err));
    let data_dir = state.data_dir.clone();
    let owned = tokio::task::spawn_blocking(move || is_owned(&data_dir)).await;
    let worker = matches!(owned, Ok(Ok(true)));
    let bus = state.signal.has_bus() && state.signal.is_bus_reachable().await;
    let mut reasons: Vec<String> = Vec::new();
    reasons.extend(
        [&catalog, &queue].into_iter().filter_map(|looked| Some(looked.as_ref().err()?.detail().into())),
    );
    if !worker {
        reasons.push("no worker runs on this data directory".into());
    }
    if state.signal.has_bus() && !bus {
        reasons.push("the bus does not answer".into());
    }
    let (catalog, queue) = (catalog.is_ok(), queue.is_ok());
    Readiness { ready: catalog && queue && worker, catalog, queue, worker, bus, reasons }
}

/// Which version runs here?
#[utoipa::path(get, path = "/api/v1/version", tag = "system", responses((status = 200, body = Version)))]
async fn version() -> Json<Version> {
    Json(Version { name: "decnet", version: env!("CARGO_PKG_VERSION") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_where_it_is_said_to_be() {
        let (_, document) = routes(Routes::new()).split();
        assert!(document.paths.paths.contains_key(HEALTH));
    }
}
