//! The entry point of the API.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use axum::Router;
use axum::extract::Extension;
use axum::middleware::{from_fn, from_fn_with_state};
use tokio_util::sync::CancellationToken;
use tower_http::normalize_path::NormalizePath;

use crate::options::Options;
use crate::server::App;
use crate::state::{Shared, State};
use crate::{auth, metrics, middleware, openapi, page, problem, routes, server, timeout, web};

/// The HTTP API, ready to run.
pub struct Api {
    app: App,
    state: Shared,
}

/// The listener cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the API cannot listen: {0}")]
pub struct Error(#[from] io::Error);

impl Api {
    /// Creates the API. Files and connections are opened when first needed.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let origins = options.access.cors_origins.clone();
        let dashboard = options.access.dashboard_origins.clone();
        let state = Arc::new(State::new(options));
        let app = NormalizePath::trim_trailing_slash(router(Arc::clone(&state), &origins, dashboard));
        Self { app, state }
    }

    /// Serves until `shutdown`. Then requests in progress have
    /// [`API_SHUTDOWN_GRACE`](decnet_core::limits::API_SHUTDOWN_GRACE) to finish, and jobs end after their current step.
    ///
    /// # Errors
    /// The listener cannot be used.
    pub async fn run(self, listener: TcpListener, shutdown: CancellationToken) -> Result<(), Error> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        server::serve(listener, self.app, shutdown).await;
        self.state.erasures.stop();
        self.state.redeliveries.stop();
        Ok(())
    }
}

/// Returns the router with its layers. The last layer added is the outermost: metrics, log, headers, the rendering of problems,
/// CORS, rate limits, request checks, the time limit; authentication is per route.
fn router(state: Shared, origins: &[String], dashboard_origins: Vec<String>) -> Router {
    let (router, document) = routes::all().split();
    let router = web::serve(router, &state, dashboard_origins);
    let router = page::serve(openapi::serve(router, &document));
    let router = if state.gate.setup.is_some() { auth::setup_routes(router) } else { router };
    let router = router
        .layer(from_fn(timeout::enforce))
        .layer(Extension(Arc::clone(&state)))
        .layer(from_fn(middleware::check_form))
        .layer(from_fn_with_state(Arc::clone(&state.gate), middleware::count));
    let router = if origins.is_empty() { router } else { cross_origin(router, &state, origins) };
    router
        .layer(from_fn(problem::render))
        .layer(from_fn(middleware::headers))
        .layer(from_fn(middleware::log))
        .layer(from_fn_with_state(Arc::clone(&state.requests), metrics::count))
        .with_state(state)
}

/// Adds CORS around the rate limit, so that scripts can read its rejections too. Preflights end here, so an outer
/// layer limits them.
fn cross_origin(router: Router<Shared>, state: &Shared, origins: &[String]) -> Router<Shared> {
    let count = from_fn_with_state(Arc::clone(&state.gate), middleware::count_preflights);
    router.layer(middleware::cors(origins)).layer(count)
}
