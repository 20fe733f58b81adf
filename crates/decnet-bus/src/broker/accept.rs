//! Acceptance and end of connections, with a limit per user.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use decnet_core::limits::{MAX_BUS_CONNECTIONS, RESERVED_BUS_CONNECTIONS};
use decnet_runtime::accept::Acceptor;
use decnet_runtime::log_throttle::LogThrottle;
use decnet_runtime::sync::lock;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::connection;
use super::hub::Hub;
use super::peer::{Peer, Users};
use super::shares::Shares;

/// A `BYE` frame, for a refused connection.
const BYE: &[u8] = b"BYE\n\0\0\0\0";

/// Accepts connections until `shutdown`, then waits for all of them to close.
pub(super) async fn serve(
    listener: &mut UnixListener,
    users: &Users,
    hub: &Arc<Hub>,
    shutdown: &CancellationToken,
) {
    let mut connections = JoinSet::new();
    let shares = Shares::new(MAX_BUS_CONNECTIONS, RESERVED_BUS_CONNECTIONS);
    let mut admission = Admission { shares: Arc::new(shares.into()), refused: LogThrottle::default() };
    let mut acceptor = Acceptor::new(listener, "bus");
    loop {
        tokio::select! {
            (stream, _) = acceptor.accept() => if let Some((stream, peer, permit)) = admission.admit(stream, users) {
                let (hub, shutdown) = (Arc::clone(hub), shutdown.clone());
                connections.spawn(async move {
                    connection::serve(stream, peer, hub, shutdown).await;
                    drop(permit);
                });
            },
            Some(_) = connections.join_next() => {}
            () = shutdown.cancelled() => break,
        }
    }
    while connections.join_next().await.is_some() {}
}

/// The limit on connections, shared among users.
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
    /// Admits the connection. If its user has reached the limit, sends `BYE` and closes it instead.
    fn admit(&mut self, stream: UnixStream, users: &Users) -> Option<(UnixStream, Peer, ConnectionPermit)> {
        let credentials = stream.peer_cred().inspect_err(|error| {
            tracing::warn!(%error, "the bus closed a connection whose user cannot be determined");
        });
        let peer = users.peer(credentials.ok()?.uid());
        if lock(&self.shares).take(peer, 1) {
            return Some((stream, peer, ConnectionPermit { shares: Arc::clone(&self.shares), peer }));
        }
        if let Err(error) = stream.try_write(BYE) {
            tracing::debug!(%error, "a refused connection was closed before BYE was sent");
        }
        if let Some(times) = self.refused.record(Instant::now()) {
            tracing::warn!(
                uid = peer.uid,
                times,
                "the bus refused a connection: its user has reached its share of the {MAX_BUS_CONNECTIONS} connections; close \
                 some connections"
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
