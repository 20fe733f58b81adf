//! Checks of the configured files, bus and API. They change nothing.

use std::io::ErrorKind;
use std::path::Path;

use decnet_store::catalog::{self, Catalog, Create, Row};
use decnet_store::queue::{self, Reader};
use rustix::fs::{Access, access};
use serde_json::{Value, json};

use super::units;
use crate::commands::api::has_credential;
use crate::commands::bus_client;
use crate::config::Config;
use crate::failure::format_error;
use crate::output::{Paint, Text, pluralize};

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
    pub(super) fn new(what: &'static str, health: Health, detail: impl Into<String>) -> Self {
        Self { what, health, detail: detail.into() }
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
        text += format!(" {}: {}", self.what, self.detail);
        text.end_line();
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
    vec![
        data_dir(&config.data_dir),
        catalog(config),
        queue(&config.data_dir),
        bus(config).await,
        api(config),
        units::probe(),
    ]
}

fn data_dir(path: &Path) -> Probe {
    let what = "data directory";
    let writable = |path: &Path| access(path, Access::WRITE_OK | Access::EXEC_OK);
    let shown = path.display();
    match path.metadata() {
        Ok(metadata) if !metadata.is_dir() => {
            Probe::new(what, Health::Unusable, format!("{shown} is not a directory"))
        }
        Ok(_) => match writable(path) {
            Ok(()) => Probe::new(what, Health::Good, shown.to_string()),
            Err(error) => Probe::new(what, Health::Unusable, format!("cannot write to {shown}: {error}")),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let parent = path.ancestors().skip(1).find(|parent| parent.exists()).unwrap_or(Path::new("."));
            match writable(parent) {
                Ok(()) => Probe::new(what, Health::Waiting, format!("{shown} will be created")),
                Err(error) => Probe::new(what, Health::Unusable, format!("cannot create {shown}: {error}")),
            }
        }
        Err(error) => Probe::new(what, Health::Unusable, format!("{shown}: {error}")),
    }
}

fn catalog(config: &Config) -> Probe {
    let what = "catalog";
    let opened = config.database.path().map_err(anyhow::Error::from).and_then(count);
    match opened {
        Ok(count) => Probe::new(what, Health::Good, format!("{}: {count}", config.database)),
        Err(error) if matches!(error.downcast_ref(), Some(catalog::Error::Missing { .. })) => {
            Probe::new(what, Health::Waiting, format!("{} will be created", config.database))
        }
        Err(error) => Probe::new(what, Health::Unusable, format_error(&error)),
    }
}

fn count(path: &Path) -> anyhow::Result<String> {
    let rows = Catalog::open(path, Create::Never)?.rows()?;
    let invalid: Vec<&str> =
        rows.iter().filter(|row| row.problem.is_some()).map(|row| row.name.as_str()).collect();
    let invalid = if invalid.is_empty() {
        String::new()
    } else {
        format!(", with an invalid row: {}", invalid.join(", "))
    };
    let warnings: Vec<String> = rows.iter().filter_map(warning).collect();
    let warnings = if warnings.is_empty() { String::new() } else { format!("; {}", warnings.join("; ")) };
    Ok(pluralize(rows.len() as u64, "subscription", "subscriptions") + &invalid + &warnings)
}

/// Returns the warnings about a usable row.
fn warning(row: &Row) -> Option<String> {
    let is_usable = row.problem.is_none() && !row.warnings.is_empty();
    is_usable.then(|| format!("{}: {}", row.name, row.warnings.join(", ")))
}

fn queue(data_dir: &Path) -> Probe {
    let what = "queue";
    let counts = Reader::open(data_dir).and_then(|reader| {
        queue::check_remains(data_dir)?;
        reader.counts()
    });
    match counts {
        Ok(counts) => {
            let waiting: u64 = counts.iter().map(|counts| counts.pending + counts.retrying).sum();
            let dead: u64 = counts.iter().map(|counts| counts.dead).sum();
            Probe::new(what, Health::Good, deliveries(waiting, dead))
        }
        Err(queue::Error::NoQueue { .. }) => {
            Probe::new(what, Health::Waiting, "will be created when the worker starts")
        }
        Err(error) => Probe::new(what, Health::Unusable, format_error(&error.into())),
    }
}

fn deliveries(waiting: u64, dead: u64) -> String {
    let waiting = pluralize(waiting, "delivery waits", "deliveries wait");
    format!("{waiting}, {}", pluralize(dead, "is dead", "are dead"))
}

async fn bus(config: &Config) -> Probe {
    let what = "bus";
    if !config.bus.enabled {
        return Probe::new(what, Health::Waiting, "disabled by DECNET_BUS_ENABLED=false");
    }
    match bus_client::round_trip(config).await {
        Ok(socket) => {
            let owner =
                if socket == config.bus.path() { "" } else { " (of `decnet serve` on this data directory)" };
            Probe::new(what, Health::Good, format!("{} answers{owner}", socket.display()))
        }
        Err(error) => Probe::new(what, Health::Waiting, format_error(&error)),
    }
}

/// Checks whether a credential for the API exists. Without one only its public pages can be used.
fn api(config: &Config) -> Probe {
    let what = "API";
    if !config.api.enabled {
        return Probe::new(what, Health::Waiting, "disabled in `decnet serve` by DECNET_API_ENABLED=false");
    }
    match has_credential(config) {
        Ok(true) => Probe::new(what, Health::Good, "a token or DECNET_JWT_SECRET exists"),
        Ok(false) => {
            let advice = "no token yet; create one with: decnet token create --name admin --scope admin";
            Probe::new(what, Health::Waiting, advice)
        }
        Err(error) => Probe::new(what, Health::Unusable, format_error(&error)),
    }
}
