//! The API as a part of a process: `run` until told to stop.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use axum::Router;
use axum::extract::Extension;
use axum::middleware::{from_fn, from_fn_with_state};
use tokio_util::sync::CancellationToken;

use crate::options::Options;
use crate::state::{Shared, State};
use crate::{armour, auth, deadline, metrics, openapi, page, problem, routes, server};

/// The HTTP API, ready to be run.
pub struct Api {
    router: Router,
    state: Shared,
}

/// Why the API cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket cannot be listened on.
    #[error("the API cannot listen: {0}")]
    Listen(#[from] io::Error),
}

impl Api {
    /// Makes it; nothing is opened before it is needed.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let origins = options.access.cors_origins.clone();
        let state = Arc::new(State::new(options));
        Self { router: router(Arc::clone(&state), &origins), state }
    }

    /// Serves until `shutdown`; requests under way are then finished, within
    /// [`API_SHUTDOWN_GRACE`](decnet_core::limits::API_SHUTDOWN_GRACE), and jobs end after their step.
    ///
    /// # Errors
    /// A listener that cannot be used.
    pub async fn run(self, listener: TcpListener, shutdown: CancellationToken) -> Result<(), Error> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        server::serve(listener, self.router, shutdown).await;
        self.state.erasures.stop();
        self.state.redeliveries.stop();
        Ok(())
    }
}

/// Outermost first: what every answer carries, the words of every problem, the bounds, then who asks, route by route.
fn router(state: Shared, origins: &[String]) -> Router {
    let (router, document) = routes::all().split();
    let router = page::serve(openapi::serve(router, &document));
    let router = if state.gate.setup.is_some() { auth::setup_routes(router) } else { router };
    let router = router
        .layer(from_fn(deadline::keep))
        .layer(Extension(Arc::clone(&state)))
        .layer(from_fn(armour::check_form))
        .layer(from_fn_with_state(Arc::clone(&state.gate), armour::count));
    let router = if origins.is_empty() { router } else { cross_origin(router, &state, origins) };
    router
        .layer(from_fn(problem::render))
        .layer(from_fn(armour::headers))
        .layer(from_fn(armour::log))
        .layer(from_fn_with_state(Arc::clone(&state.requests), metrics::count))
        .with_state(state)
}

/// Around the count, so that pages can read its refusals too. Preflights go no further, and are counted before.
fn cross_origin(router: Router<Shared>, state: &Shared, origins: &[String]) -> Router<Shared> {
    let count = from_fn_with_state(Arc::clone(&state.gate), armour::count_preflights);
    router.layer(armour::cors(origins)).layer(count)
}
