//! The way to the bus for commands that are done soon.

use std::path::PathBuf;
use std::time::Duration;

use decnet_bus::{Client, ClientError};
use decnet_core::topic::own::CHANGED_TOPIC;

use crate::config::Config;
use crate::failure::told;

/// What a command says when it greets; the bus logs it.
const NAME: &str = "decnet-cli";
/// Where `decnet serve` has its bus, below the data directory.
pub(crate) const SERVE_SOCKET: &str = "bus.sock";
/// How long a change waits for a bus to be told about it.
const SIGNAL_PATIENCE: Duration = Duration::from_secs(1);
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
    anyhow::bail!(
        "{error} Start one with `decnet serve` or `decnet bus`, or say where it is: --data-dir as for `decnet \
         serve`, or DECNET_BUS_SOCKET."
    )
}

/// Tells the worker that the subscriptions, or the queue, have changed. A bus that is away is no failure: the
/// worker looks by itself within a minute.
pub(crate) async fn signal_change(config: &Config) {
    match tokio::time::timeout(SIGNAL_PATIENCE, publish_change(config)).await {
        Ok(Ok(socket)) => tracing::debug!(socket = %socket.display(), "the worker was told"),
        Ok(Err(error)) => tracing::debug!("the worker was not told: {}", told(&error)),
        Err(_) => tracing::debug!("the worker was not told: the bus did not answer in time"),
    }
}

async fn publish_change(config: &Config) -> anyhow::Result<PathBuf> {
    let (mut client, socket) = connect(config).await?;
    client.publish(CHANGED_TOPIC, CHANGED_TYPE, &serde_json::Map::new()).await?;
    client.close().await?;
    Ok(socket)
}
