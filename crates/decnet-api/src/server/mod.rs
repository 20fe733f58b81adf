//! The HTTP server: accepts connections, bounds them, and shuts them down gracefully.
//!
//! A slow client cannot block the server: a request's head must arrive within `API_HEAD_TIMEOUT`, its body and the answer
//! within `API_REQUEST_TIMEOUT`, and an unauthorized request is rejected before its body is read. At the connection limit, a
//! new connection evicts one that waits for a request, for a body, or for its client to read an answer
//! ([`connection_limit`]). A request that reaches an evicted connection is never begun.

mod connection;
mod connection_limit;

use std::io;
use std::time::Duration;

use axum::Router;
use decnet_core::limits::API_SHUTDOWN_GRACE;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::connection_limit::ConnectionLimit;
use crate::auth::Network;

/// The pause after the system refused a socket.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The address that a request came from, as an extension of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) std::net::SocketAddr);

/// Accepts connections until `shutdown`, then waits up to [`API_SHUTDOWN_GRACE`] for open ones.
pub(crate) async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let (limit, mut open) = (ConnectionLimit::default(), JoinSet::new());
    let mut accepting = Accepting { listener, failing: false };
    loop {
        let (stream, peer) = tokio::select! {
            accepted = accepting.next() => accepted,
            () = shutdown.cancelled() => break,
        };
        let permit = tokio::select! {
            permit = limit.acquire(Network::of(peer.ip())) => permit,
            () = shutdown.cancelled() => break,
        };
        while open.try_join_next().is_some() {}
        open.spawn(connection::serve(stream, Peer(peer), router.clone(), permit, shutdown.clone()));
    }
    drop(accepting);
    let finished = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(API_SHUTDOWN_GRACE, finished).await.is_err() {
        tracing::warn!(open = open.len(), "closing API connections that did not finish in time");
    }
}

struct Accepting {
    listener: TcpListener,
    /// Whether a failure to accept was logged.
    failing: bool,
}

impl Accepting {
    /// Returns the next connection. Logs the first of consecutive failures and retries.
    async fn next(&mut self) -> (TcpStream, std::net::SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => {
                    self.failing = false;
                    return accepted;
                }
                // The client disconnected before it was accepted; other connections are not affected.
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if !std::mem::replace(&mut self.failing, true) {
                        tracing::warn!(%error, "the API cannot accept connections; retrying");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
