//! The bus client of short-lived commands, and the announcement of changes to the worker.

use std::path::{Path, PathBuf};

use decnet_bus::{Client, ClientError};
use decnet_core::duration;
use decnet_core::limits::{BUS_CHECK_TIMEOUT, CHANGE_CONFIRM_TIMEOUT};
use decnet_core::topic::system_topics::{AUDIT_TOPIC, BUS_HEALTH_TOPIC, CHANGED_TOPIC};
use decnet_store::catalog::AuditEntry;
use decnet_store::queue::record_catalog_change;
use serde_json::{Value, json};

use crate::config::Config;
use crate::output;

/// The name in a command's greeting, which the bus logs.
const NAME: &str = "decnet-cli";
/// The path of the socket of `decnet serve`, relative to the data directory.
pub(crate) const SERVE_SOCKET: &str = "bus.sock";
const CHANGED_TYPE: &str = "changed";

/// Returns the sockets to try, in order: only the configured socket if it is set; otherwise the socket of `decnet serve` in the
/// data directory, if it exists, then DECNET's default path.
pub(crate) fn sockets(config: &Config) -> Vec<PathBuf> {
    if let Some(socket) = &config.bus.socket {
        return vec![socket.clone()];
    }
    let serve = config.data_dir.join(SERVE_SOCKET);
    // A socket that this user cannot access is tried too, so that the error names it.
    let serve = Some(serve).filter(|path| !matches!(path.try_exists(), Ok(false)));
    serve.into_iter().chain([config.bus.default_socket.clone()]).collect()
}

/// Connects to the first socket that accepts.
///
/// # Errors
/// The bus is disabled, or no socket accepts. The latter error has a hint on how to start a bus.
pub(crate) async fn connect(config: &Config) -> anyhow::Result<(Client, PathBuf)> {
    anyhow::ensure!(config.bus.enabled, "the bus is disabled: DECNET_BUS_ENABLED is false");
    let mut failed = None;
    for socket in sockets(config) {
        match Client::connect(&socket, NAME).await {
            Ok(client) => return Ok((client, socket)),
            // The first socket is the most likely: a server that has ended leaves its socket behind.
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    let error = failed.unwrap_or(ClientError::Closed);
    if matches!(error, ClientError::Refused(_)) {
        return Err(error.into());
    }
    anyhow::bail!(
        "{error}. Start a bus with `decnet serve` or `decnet bus`, or specify its socket with --data-dir, as for \
         `decnet serve`, or with DECNET_BUS_SOCKET."
    )
}

/// Connects and waits for a frame from the bus. A connection alone proves nothing, because the kernel accepts it for a bus
/// that hangs or is at its connection limit. This program's bus answers the greeting at once; any other bus is
/// proven alive by its next heartbeat, which DECNET's bus publishes every 10 s.
///
/// # Errors
/// As [`connect`]; also if the bus closes the connection or sends nothing for [`BUS_CHECK_TIMEOUT`].
pub(crate) async fn round_trip(config: &Config) -> anyhow::Result<PathBuf> {
    let (mut client, socket) = connect(config).await?;
    let first_frame = async {
        client.sender.enqueue_greeting_for_notices(NAME)?;
        client.subscribe(BUS_HEALTH_TOPIC).await?;
        client.recv_batch(&mut Vec::new()).await
    };
    let Ok(received) = tokio::time::timeout(BUS_CHECK_TIMEOUT, first_frame).await else {
        anyhow::bail!("{} did not answer within {}", socket.display(), duration::show(BUS_CHECK_TIMEOUT))
    };
    match received {
        Err(ClientError::Closed | ClientError::Unread | ClientError::Io(_)) => {
            Err(ClientError::Refused(socket).into())
        }
        received => Ok(received.map(|()| socket)?),
    }
}

/// Announces a change of the subscriptions that is committed to the catalog, and publishes its entries of the audit list. Every event that is published after this
/// returns, over the bus or over HTTP, is routed by the changed catalog. Failures are only warnings, because the worker
/// polls the catalog every minute. Returns the warnings, which are printed already.
pub(crate) async fn announce_change(config: &Config, entries: Vec<AuditEntry>) -> Vec<String> {
    let data_dir = config.data_dir.clone();
    let recorded = tokio::task::spawn_blocking(move || record_catalog_change(&data_dir)).await;
    let recorded = recorded.map_err(anyhow::Error::from).and_then(|recorded| Ok(recorded?));
    let unrecorded = recorded.err().map(|error| {
        format!("cannot record the change in the queue, so it may take up to a minute to apply to events over HTTP: {error}")
    });
    let warnings: Vec<String> = unrecorded.into_iter().chain(signal_buses(config, &entries).await).collect();
    warnings.iter().for_each(|warning| output::warn(warning));
    warnings
}

/// Signals on the bus that the subscriptions or the queue have changed, and waits for at most [`CHANGE_CONFIRM_TIMEOUT`]
/// until the bus has read the signal. Does nothing if no bus is running; a bus that does not read the signal is reported.
pub(crate) async fn signal_change(config: &Config) {
    signal_buses(config, &[]).await.into_iter().for_each(|warning| output::warn(&warning));
}

/// Publishes entries of the audit list about tokens and keys, if a bus is running. A failure is only logged: the list is the record.
pub(crate) async fn publish_entries(config: &Config, entries: Vec<AuditEntry>) {
    if let Some(warning) = publish(config, &events(&entries)).await {
        tracing::debug!(warning, "the entries of the audit list were not published");
    }
}

/// Signals a change on the first running bus, followed by its entries of the audit list. Returns a warning if that bus does not
/// confirm it.
async fn signal_buses(config: &Config, entries: &[AuditEntry]) -> Option<String> {
    let signal = (CHANGED_TOPIC, json!({}));
    publish(config, &[vec![signal], events(entries)].concat()).await
}

fn events(entries: &[AuditEntry]) -> Vec<(&'static str, Value)> {
    entries.iter().map(|entry| (AUDIT_TOPIC, entry.event())).collect()
}

/// Publishes on the first running bus. Returns a warning if that bus does not confirm it.
async fn publish(config: &Config, messages: &[(&str, Value)]) -> Option<String> {
    for socket in sockets(config).iter().filter(|_| config.bus.enabled && !messages.is_empty()) {
        match send(socket, messages).await {
            Ok(()) => {
                tracing::debug!(socket = %socket.display(), "the bus has read the change signal");
                return None;
            }
            Err(error) if error.is_absent() => {
                tracing::debug!(%error, "no bus is running to signal the change to");
            }
            Err(error) => {
                let socket = socket.display();
                return Some(format!(
                    "the bus at {socket} did not confirm the change, so it may take up to a minute to apply: {error}"
                ));
            }
        }
    }
    None
}

async fn send(socket: &Path, messages: &[(&str, Value)]) -> Result<(), ClientError> {
    let signalled = async {
        let mut client = Client::connect(socket, NAME).await?;
        for (topic, payload) in messages {
            client.sender.enqueue(topic, CHANGED_TYPE, payload)?;
        }
        client.confirm(CHANGE_CONFIRM_TIMEOUT).await
    };
    let signalled = tokio::time::timeout(CHANGE_CONFIRM_TIMEOUT, signalled).await;
    signalled.unwrap_or(Err(ClientError::Unconfirmed(CHANGE_CONFIRM_TIMEOUT)))
}
