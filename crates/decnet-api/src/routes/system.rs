//! Is it alive, is it ready, which version is it?

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::Routes;
use crate::auth::Scope;

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

pub(super) fn routes(routes: Routes) -> Routes {
    routes.public(routes!(health)).guarded(Scope::Read, routes!(version))
}

/// Is the process alive?
#[utoipa::path(get, path = "/api/v1/health", tag = "system", responses((status = 200, body = Alive)))]
async fn health() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

/// Which version runs here?
#[utoipa::path(get, path = "/api/v1/version", tag = "system", responses((status = 200, body = Version)))]
async fn version() -> Json<Version> {
    Json(Version { name: "decnet", version: env!("CARGO_PKG_VERSION") })
}
