//! New connections, bounded, and their end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use decnet_core::limits::MAX_BUS_CONNECTIONS;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::connection;
use super::hub::Hub;
use crate::said::Said;

/// Pause after a failed accept, which mostly means that file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts until `shutdown`, then waits for the connections to close.
pub(super) async fn serve(listener: &UnixListener, hub: &Arc<Hub>, shutdown: &CancellationToken) {
    let mut connections = JoinSet::new();
    let (mut failed, mut refused) = (Said::default(), Said::default());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => admit(stream, hub, shutdown, &mut connections, &mut refused),
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

fn admit(
    stream: UnixStream,
    hub: &Arc<Hub>,
    shutdown: &CancellationToken,
    connections: &mut JoinSet<()>,
    refused: &mut Said,
) {
    if connections.len() < MAX_BUS_CONNECTIONS {
        connections.spawn(connection::serve(stream, Arc::clone(hub), shutdown.clone()));
    } else if let Some(times) = refused.again(Instant::now()) {
        tracing::warn!(times, "the bus closed new connections: it serves at most {MAX_BUS_CONNECTIONS}");
    }
}
