//! The HTTP server: accepts connections, bounds them, and shuts them down gracefully.
//!
//! A slow client cannot block the server: a request's head must arrive within `API_HEAD_TIMEOUT`, its body and the response
//! within `API_REQUEST_TIMEOUT`, and an unauthorized request is rejected before its body is read. At the connection limit, a
//! new connection evicts a connection that waits for a request, for a body, or for its client to read a response
//! ([`connection_limit`]). A request that reaches an evicted connection is never begun.

mod connection;
mod connection_limit;

use axum::Router;
use decnet_core::limits::API_SHUTDOWN_GRACE;
use decnet_runtime::accept::Acceptor;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower_http::normalize_path::NormalizePath;

use self::connection_limit::ConnectionLimit;
use crate::auth::Network;

/// The routes of the API, which ignore trailing slashes in paths.
pub(crate) type App = NormalizePath<Router>;

/// The address that a request came from, as an extension of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) std::net::SocketAddr);

/// The ways in which a connection ends, as an extension of its requests. A response without an end must respect both.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionEnd {
    /// Closes the connection when it is cancelled.
    pub(crate) close: CancellationToken,
    /// Cancelled when the server stops.
    pub(crate) shutdown: CancellationToken,
}

/// Accepts connections until `shutdown`, then waits up to [`API_SHUTDOWN_GRACE`] for open connections.
pub(crate) async fn serve(mut listener: TcpListener, app: App, shutdown: CancellationToken) {
    let (limit, mut open) = (ConnectionLimit::default(), JoinSet::new());
    let mut acceptor = Acceptor::new(&mut listener, "API");
    loop {
        let (stream, peer) = tokio::select! {
            accepted = acceptor.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        let permit = tokio::select! {
            permit = limit.acquire(Network::of(peer.ip())) => permit,
            () = shutdown.cancelled() => break,
        };
        while open.try_join_next().is_some() {}
        open.spawn(connection::serve(stream, Peer(peer), app.clone(), permit, shutdown.clone()));
    }
    drop(listener);
    let finished = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(API_SHUTDOWN_GRACE, finished).await.is_err() {
        tracing::warn!(open = open.len(), "closing API connections that did not finish in time");
    }
}
