//! The way to the bus for commands that are done soon, and how they announce a change to the worker.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use decnet_bus::{Client, ClientError};
use decnet_core::duration;
use decnet_core::limits::{BUS_CHECK_TIMEOUT, CHANGE_CONFIRM_TIMEOUT};
use decnet_core::topic::own::{BUS_HEALTH_TOPIC, CHANGED_TOPIC};
use decnet_store::queue::note_change;

use crate::config::Config;
use crate::output;

/// What a command says when it greets; the bus logs it.
const NAME: &str = "decnet-cli";
/// Where `decnet serve` has its bus, below the data directory.
pub(crate) const SERVE_SOCKET: &str = "bus.sock";
const CHANGED_TYPE: &str = "changed";

/// The sockets to try, in order: the configured one; else that of `decnet serve` on this data directory, where
/// there is one, and DECNET's own place.
pub(crate) fn sockets(config: &Config) -> Vec<PathBuf> {
    if let Some(socket) = &config.bus.socket {
        return vec![socket.clone()];
    }
    let serve = config.data_dir.join(SERVE_SOCKET);
    // One that this user may not look at is tried too: the error then says so.
    let serve = Some(serve).filter(|path| !matches!(path.try_exists(), Ok(false)));
    serve.into_iter().chain([config.bus.default_socket.clone()]).collect()
}

/// The bus is switched off.
#[derive(Debug, thiserror::Error)]
#[error("there is no bus: DECNET_BUS_ENABLED is false")]
pub(crate) struct Disabled;

/// Connects to the first socket that answers.
///
/// # Errors
/// A bus that is switched off, or does not answer; then with a hint to start one.
pub(crate) async fn connect(config: &Config) -> anyhow::Result<(Client, PathBuf)> {
    if !config.bus.enabled {
        return Err(Disabled.into());
    }
    let sockets = sockets(config);
    let mut failed = None;
    for socket in sockets {
        match Client::connect(&socket, NAME).await {
            Ok(client) => return Ok((client, socket)),
            // The first place is the one that was meant: a server that was there has left its socket.
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    let error = failed.unwrap_or(ClientError::Closed);
    if matches!(error, ClientError::Refused(_)) {
        return Err(error.into());
    }
    anyhow::bail!(
        "{error} Start one with `decnet serve` or `decnet bus`, or say where it is: --data-dir as for `decnet \
         serve`, or DECNET_BUS_SOCKET."
    )
}

/// Connects, and waits for a frame of the bus: the kernel takes connections for a bus that hangs or that has no place
/// free. A bus of ours answers its greeting at once; any other one shows that it lives with its next heartbeat, which
/// DECNET's publishes every 10 s.
///
/// # Errors
/// As [`connect`], and a bus that ends the connection or stays silent for [`BUS_CHECK_TIMEOUT`].
pub(crate) async fn round_trip(config: &Config) -> anyhow::Result<PathBuf> {
    let (mut client, socket) = connect(config).await?;
    match tokio::time::timeout(BUS_CHECK_TIMEOUT, first_frame(&mut client)).await {
        Ok(Ok(())) => Ok(socket),
        Ok(Err(ClientError::Closed | ClientError::Unread | ClientError::Io(_))) => {
            Err(ClientError::Refused(socket).into())
        }
        Ok(Err(error)) => Err(error.into()),
        Err(_) => {
            anyhow::bail!("{} did not answer within {}", socket.display(), duration::show(BUS_CHECK_TIMEOUT))
        }
    }
}

async fn first_frame(client: &mut Client) -> Result<(), ClientError> {
    client.sender().enqueue_greeting_for_notices(NAME)?;
    client.subscribe(BUS_HEALTH_TOPIC).await?;
    client.recv_batch(&mut Vec::new()).await
}

/// Announces a change of the subscriptions that is committed to the catalog: every event that is published after this
/// returns is routed by it, over the bus and over HTTP. What goes wrong is reported and fails nothing: the worker looks
/// by itself within a minute.
pub(crate) async fn announce_change(config: &Config) {
    let data_dir = config.data_dir.clone();
    let noted = tokio::task::spawn_blocking(move || note_change(&data_dir)).await;
    let error = match noted {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(error) = error {
        output::say(&format!(
            "decnet: warning: the change could not be noted in the queue, so it may apply to events over HTTP only \
             after a minute: {error}"
        ));
    }
    signal_change(config).await;
}

/// Signals on the bus that the subscriptions, or the queue, have changed, and waits a moment until the bus has read
/// that. A bus that is away is no fault; one that does not read is reported.
pub(crate) async fn signal_change(config: &Config) {
    if !config.bus.enabled {
        return;
    }
    for socket in sockets(config) {
        match signal(&socket).await {
            Ok(()) => {
                return tracing::debug!(socket = %socket.display(), "the bus has read the signal of a change");
            }
            Err(error) if is_away(&error) => tracing::debug!(%error, "no bus reads the signal of a change"),
            Err(error) => {
                let socket = socket.display();
                return output::say(&format!(
                    "decnet: warning: the bus at {socket} has not confirmed the change, which may take effect only \
                     after a minute: {error}"
                ));
            }
        }
    }
}

async fn signal(socket: &Path) -> Result<(), ClientError> {
    let signalled = async {
        let mut client = Client::connect(socket, NAME).await?;
        client.sender().enqueue(CHANGED_TOPIC, CHANGED_TYPE, &serde_json::Map::new())?;
        client.confirm(CHANGE_CONFIRM_TIMEOUT).await
    };
    let signalled = tokio::time::timeout(CHANGE_CONFIRM_TIMEOUT, signalled).await;
    signalled.unwrap_or(Err(ClientError::Unconfirmed(CHANGE_CONFIRM_TIMEOUT)))
}

/// Does nobody listen there?
fn is_away(error: &ClientError) -> bool {
    let ClientError::Connect { source, .. } = error else { return false };
    matches!(source.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused)
}
