//! Connections: taken, bounded, and finished in an orderly way.
//!
//! A slow client cannot hold the server: the head of a request has to arrive within `API_HEAD_TIMEOUT`, its body and the
//! answer within `API_REQUEST_TIMEOUT`, and a request without the right to an answer is refused before its body is read. When all
//! places are taken, a new connection evicts one that waits for a request, for a body, or for its client to read an answer
//! ([`places`]). A request that reaches an evicted connection is never begun.

mod connection;
mod places;

use std::io;
use std::time::Duration;

use axum::Router;
use decnet_core::limits::API_SHUTDOWN_GRACE;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::places::Places;
use crate::auth::Network;

/// How long to wait when the system has no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Whom a request came from, as an extension of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) std::net::SocketAddr);

/// Takes connections until `shutdown`, then gives those that are open their time to finish.
pub(crate) async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let (places, mut open) = (Places::default(), JoinSet::new());
    let mut accepting = Accepting { listener, failing: false };
    loop {
        let (stream, peer) = tokio::select! {
            accepted = accepting.next() => accepted,
            () = shutdown.cancelled() => break,
        };
        let place = tokio::select! {
            place = places.take(Network::of(peer.ip())) => place,
            () = shutdown.cancelled() => break,
        };
        while open.try_join_next().is_some() {}
        open.spawn(connection::serve(stream, Peer(peer), router.clone(), place, shutdown.clone()));
    }
    drop(accepting);
    let finished = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(API_SHUTDOWN_GRACE, finished).await.is_err() {
        tracing::warn!(open = open.len(), "API connections did not finish in time and are closed");
    }
}

struct Accepting {
    listener: TcpListener,
    /// It was said that the system gives no sockets.
    failing: bool,
}

impl Accepting {
    /// The next connection. What the system refuses is said once, and tried again.
    async fn next(&mut self) -> (TcpStream, std::net::SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => {
                    self.failing = false;
                    return accepted;
                }
                // The client went away before it was taken: nothing that concerns the others.
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if !std::mem::replace(&mut self.failing, true) {
                        tracing::warn!(%error, "the API cannot take connections; it keeps trying");
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
