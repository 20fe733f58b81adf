//! Checks of the configured files, bus and API. They change nothing.

use std::io::ErrorKind;
use std::path::Path;

use decnet_core::duration;
use decnet_core::limits::SERVICE_CHECK_TIMEOUT;
use decnet_sender::Proxy;
use decnet_store::catalog::{Catalog, Encryption, Row};
use decnet_store::queue::check_remains;
use rustix::fs::{Access, access};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::units;
use crate::commands::api::has_credential;
use crate::commands::shared::bus_client;
use crate::config::Config;
use crate::failure::format_error;
use crate::output::{Paint, Text, pluralize};
use crate::store::{queue_if_exists, read_if_exists};

/// The result of a check.
pub(super) struct Probe {
    what: &'static str,
    pub(super) health: Health,
    pub(super) detail: String,
}

/// The health of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// The component is usable.
    Good,
    /// The component is not usable yet or not at the moment. Starting the services is safe.
    Waiting,
    /// The component is not usable.
    Unusable,
}

impl Probe {
    /// Creates the result of a check. An error means that the component is not usable.
    pub(super) fn new(what: &'static str, checked: anyhow::Result<(Health, String)>) -> Self {
        let unusable = |error| (Health::Unusable, format_error(&error));
        let (health, detail) = checked.unwrap_or_else(unusable);
        Self { what, health, detail }
    }

    pub(super) fn json(&self) -> Value {
        json!({"what": self.what, "health": self.health.as_str(), "detail": self.detail})
    }

    pub(super) fn human(&self, paint: Paint) -> Text {
        let health = format!("{:8}", self.health.as_str());
        let mut text = match self.health {
            Health::Good => paint.good(&health),
            Health::Waiting => paint.doubtful(&health),
            Health::Unusable => paint.bad(&health),
        };
        text.line(format!(" {}: {}", self.what, self.detail));
        text
    }
}

impl Health {
    fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Waiting => "waiting",
            Self::Unusable => "UNUSABLE",
        }
    }
}

/// Runs every check, in the order in which a start depends on the components.
pub(super) async fn all(config: &Config) -> Vec<Probe> {
    let mut probes = vec![
        Probe::new("data directory", data_dir(&config.data_dir)),
        Probe::new("catalog", catalog(config)),
        Probe::new("encryption", encryption(config)),
        Probe::new("queue", queue(config)),
        Probe::new("bus", Ok(bus(config).await)),
        Probe::new("API", api(config)),
    ];
    if let Some(used) = &config.worker.sender.proxy {
        probes.push(Probe::new("proxy", Ok(proxy(used).await)));
    }
    probes.push(units::probe());
    probes
}

fn data_dir(path: &Path) -> anyhow::Result<(Health, String)> {
    let writable = |path: &Path| access(path, Access::WRITE_OK | Access::EXEC_OK);
    let shown = path.display();
    match path.metadata() {
        Ok(metadata) if !metadata.is_dir() => anyhow::bail!("{shown} is not a directory"),
        Ok(_) => match writable(path) {
            Ok(()) => Ok((Health::Good, shown.to_string())),
            Err(error) => anyhow::bail!("cannot write to {shown}: {error}"),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let parent = path.ancestors().skip(1).find(|parent| parent.exists()).unwrap_or(Path::new("."));
            match writable(parent) {
                Ok(()) => Ok((Health::Waiting, format!("{shown} will be created"))),
                Err(error) => anyhow::bail!("cannot create {shown}: {error}"),
            }
        }
        Err(error) => anyhow::bail!("cannot access {shown}: {error}"),
    }
}

fn catalog(config: &Config) -> anyhow::Result<(Health, String)> {
    Ok(match read_if_exists(config, Catalog::rows)? {
        Some(rows) => (Health::Good, format!("{}: {}", config.database, count(&rows))),
        None => (Health::Waiting, format!("{} will be created", config.database)),
    })
}

/// Checks whether all encrypted secrets have a key.
fn encryption(config: &Config) -> anyhow::Result<(Health, String)> {
    let keys = &config.keys;
    if let Some(problem) = keys.problem() {
        anyhow::bail!("the key file cannot be used: {problem}");
    }
    let Encryption { plain, by_key } = read_if_exists(config, Catalog::encryption)?.unwrap_or_default();
    let known = keys.ids();
    let missing: Vec<_> = by_key.keys().filter(|id| !known.contains(id)).map(String::as_str).collect();
    anyhow::ensure!(
        missing.is_empty(),
        "secrets are encrypted with keys that are missing, so their subscriptions are held: {}; add these keys to the key file",
        missing.join(", ")
    );
    let plain = pluralize(plain, "secret is not encrypted", "secrets are not encrypted");
    Ok((
        Health::Good,
        match keys.path() {
            Some(path) => format!(
                "{} has the key of {}; {plain}",
                path.display(),
                pluralize(by_key.values().sum(), "secret", "secrets")
            ),
            None => format!("no key file; {plain}"),
        },
    ))
}

/// Checks whether the proxy accepts a connection. Deliveries wait while it does not.
async fn proxy(proxy: &Proxy) -> (Health, String) {
    let connecting = TcpStream::connect((proxy.host(), proxy.port()));
    match timeout(SERVICE_CHECK_TIMEOUT, connecting).await {
        Ok(Ok(_)) => (Health::Good, format!("{proxy} accepts connections")),
        Ok(Err(error)) => (Health::Waiting, format!("{proxy} cannot be reached: {error}")),
        Err(_) => {
            let limit = duration::show(SERVICE_CHECK_TIMEOUT);
            (Health::Waiting, format!("{proxy} did not accept a connection within {limit}"))
        }
    }
}

fn count(rows: &[Row]) -> String {
    let mut text = pluralize(rows.len() as u64, "subscription", "subscriptions");
    let invalid = rows.iter().filter(|row| row.problem.is_some()).map(|row| row.name.as_str());
    let invalid: Vec<_> = invalid.collect();
    if !invalid.is_empty() {
        text += &format!(", with an invalid row: {}", invalid.join(", "));
    }
    let usable = rows.iter().filter(|row| row.problem.is_none() && !row.warnings.is_empty());
    for row in usable {
        text += &format!("; {}: {}", row.name, row.warnings.join(", "));
    }
    text
}

fn queue(config: &Config) -> anyhow::Result<(Health, String)> {
    let Some(reader) = queue_if_exists(config)? else {
        return Ok((Health::Waiting, "will be created when the worker starts".into()));
    };
    check_remains(&config.data_dir)?;
    let counts = reader.counts()?;
    let waiting = counts.iter().map(|counts| counts.pending + counts.retrying).sum();
    let dead = counts.iter().map(|counts| counts.dead).sum();
    let waiting = pluralize(waiting, "delivery waits", "deliveries wait");
    Ok((Health::Good, format!("{waiting}, {}", pluralize(dead, "is dead", "are dead"))))
}

/// Checks the bus. A worker waits for a bus that does not answer.
async fn bus(config: &Config) -> (Health, String) {
    if !config.bus.enabled {
        return (Health::Waiting, "disabled by DECNET_BUS_ENABLED=false".into());
    }
    match bus_client::round_trip(config).await {
        Ok(socket) => {
            let owner =
                if socket == config.bus.path() { "" } else { " (of `decnet serve` on this data directory)" };
            (Health::Good, format!("{} answers{owner}", socket.display()))
        }
        Err(error) => (Health::Waiting, format_error(&error)),
    }
}

/// Checks whether a credential for the API exists. Without a credential, only the public pages can be used.
fn api(config: &Config) -> anyhow::Result<(Health, String)> {
    let (health, detail) = if !config.api.enabled {
        (Health::Waiting, "disabled in `decnet serve` by DECNET_API_ENABLED=false")
    } else if has_credential(config)? {
        (Health::Good, "a token or DECNET_JWT_SECRET exists")
    } else {
        (Health::Waiting, "no token yet; create one with: decnet token create --name admin --scope admin")
    };
    Ok((health, detail.to_owned()))
}
