//! New connections, shared among users, and their end.

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
use crate::said::Said;

/// Pause after a failed accept, which mostly means that file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A `BYE`, for a connection that is refused.
const BYE: &[u8] = b"BYE\n\0\0\0\0";

/// Accepts until `shutdown`, then waits for the connections to close.
pub(super) async fn serve(
    listener: &UnixListener,
    users: &Users,
    hub: &Arc<Hub>,
    shutdown: &CancellationToken,
) {
    let mut connections = JoinSet::new();
    let (mut entry, mut failed) = (Entry::new(), Said::default());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted.and_then(|(stream, _)| with_peer(stream, users)) {
                Ok((stream, peer)) => if let Some(place) = entry.admit(&stream, peer) {
                    let (hub, shutdown) = (Arc::clone(hub), shutdown.clone());
                    connections.spawn(async move {
                        connection::serve(stream, peer, hub, shutdown).await;
                        drop(place);
                    });
                },
                Err(error) => {
                    if let Some(times) = failed.again(Instant::now()) {
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

/// Who may have one more connection.
struct Entry {
    shares: Arc<Mutex<Shares>>,
    refused: Said,
}

/// A connection's place, given back on drop.
struct Place {
    shares: Arc<Mutex<Shares>>,
    peer: Peer,
}

impl Entry {
    fn new() -> Self {
        let shares = Shares::new(MAX_BUS_CONNECTIONS, RESERVED_BUS_CONNECTIONS);
        Self { shares: Arc::new(shares.into()), refused: Said::default() }
    }

    /// Gives the connection a place. If its user can have no more, sends it a `BYE` instead, for the caller to close it.
    fn admit(&mut self, stream: &UnixStream, peer: Peer) -> Option<Place> {
        if lock(&self.shares).take(peer, 1) {
            return Some(Place { shares: Arc::clone(&self.shares), peer });
        }
        if let Err(error) = stream.try_write(BYE) {
            tracing::debug!(%error, "a refused connection was gone before the goodbye");
        }
        if let Some(times) = self.refused.again(Instant::now()) {
            tracing::warn!(
                uid = peer.uid,
                times,
                "the bus refused a connection: its user has as many of the {MAX_BUS_CONNECTIONS} as one may have"
            );
        }
        None
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.shares).give_back(self.peer, 1);
    }
}

/// A thread that panicked inside left at worst a wrong count.
fn lock(shares: &Mutex<Shares>) -> MutexGuard<'_, Shares> {
    shares.lock().unwrap_or_else(PoisonError::into_inner)
}
