//! Acceptance of connections, with a limit per user, and their end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use decnet_core::limits::{MAX_BUS_CONNECTIONS, RESERVED_BUS_CONNECTIONS};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::connection;
use super::hub::Hub;
use super::peer::{Peer, Users};
use super::shares::Shares;
use crate::log_throttle::LogThrottle;

/// The pause after a failed accept, which usually means that file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A `BYE` frame, for a refused connection.
const BYE: &[u8] = b"BYE\n\0\0\0\0";

/// Accepts connections until `shutdown`, then waits for all of them to close.
pub(super) async fn serve(
    listener: &UnixListener,
    users: &Users,
    hub: &Arc<Hub>,
    shutdown: &CancellationToken,
) {
    let mut connections = JoinSet::new();
    let (mut admission, mut failures) = (Admission::new(), LogThrottle::default());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted.and_then(|(stream, _)| with_peer(stream, users)) {
                Ok((stream, peer)) => if let Some(permit) = admission.admit(&stream, peer) {
                    let (hub, shutdown) = (Arc::clone(hub), shutdown.clone());
                    connections.spawn(async move {
                        connection::serve(stream, peer, hub, shutdown).await;
                        drop(permit);
                    });
                },
                Err(error) => {
                    if let Some(times) = failures.record(Instant::now()) {
                        tracing::error!(%error, times, "the bus cannot accept a connection");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = shutdown.cancelled() => break,
        }
    }
    while connections.join_next().await.is_some() {}
}

fn with_peer(stream: UnixStream, users: &Users) -> std::io::Result<(UnixStream, Peer)> {
    let uid = stream.peer_cred()?.uid();
    Ok((stream, users.peer(uid)))
}

/// The limit of connections, shared among users.
struct Admission {
    shares: Arc<Mutex<Shares>>,
    refused: LogThrottle,
}

/// A connection's share of the limit, released on drop.
struct ConnectionPermit {
    shares: Arc<Mutex<Shares>>,
    peer: Peer,
}

impl Admission {
    fn new() -> Self {
        let shares = Shares::new(MAX_BUS_CONNECTIONS, RESERVED_BUS_CONNECTIONS);
        Self { shares: Arc::new(shares.into()), refused: LogThrottle::default() }
    }

    /// Admits the connection. If its user has reached the limit, sends `BYE` instead; the caller then closes the connection.
    fn admit(&mut self, stream: &UnixStream, peer: Peer) -> Option<ConnectionPermit> {
        if lock(&self.shares).take(peer, 1) {
            return Some(ConnectionPermit { shares: Arc::clone(&self.shares), peer });
        }
        if let Err(error) = stream.try_write(BYE) {
            tracing::debug!(%error, "a refused connection was closed before BYE was sent");
        }
        if let Some(times) = self.refused.record(Instant::now()) {
            tracing::warn!(
                uid = peer.uid,
                times,
                "the bus refused a connection: its user has reached its share of the {MAX_BUS_CONNECTIONS} connections; close some"
            );
        }
        None
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        lock(&self.shares).release(self.peer, 1);
    }
}

/// Ignores poisoning: a panic while the lock was held leaves at worst a wrong count.
fn lock(shares: &Mutex<Shares>) -> MutexGuard<'_, Shares> {
    shares.lock().unwrap_or_else(PoisonError::into_inner)
}
