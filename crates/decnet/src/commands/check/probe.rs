//! Does what was configured work? Each probe looks and touches nothing.

use std::io::ErrorKind;
use std::path::Path;

use decnet_store::catalog::{self, Catalog, Create, Row};
use decnet_store::queue::{self, Reader};
use rustix::fs::{Access, access};
use serde_json::{Value, json};

use super::units;
use crate::commands::api::has_credential;
use crate::commands::link;
use crate::config::Config;
use crate::failure::told;
use crate::output::{Paint, Text, counted};

/// What a probe found.
pub(super) struct Probe {
    what: &'static str,
    pub(super) health: Health,
    pub(super) detail: String,
}

/// Can it be used?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// Yes.
    Good,
    /// Not yet, or not now; nothing is lost by starting.
    Waiting,
    /// No.
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

/// Every probe, in the order in which a start would meet them.
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
            Probe::new(what, Health::Unusable, format!("{shown} is no directory"))
        }
        Ok(_) => match writable(path) {
            Ok(()) => Probe::new(what, Health::Good, shown.to_string()),
            Err(error) => Probe::new(what, Health::Unusable, format!("{shown} cannot be written: {error}")),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let above = path.ancestors().skip(1).find(|above| above.exists()).unwrap_or(Path::new("."));
            match writable(above) {
                Ok(()) => Probe::new(what, Health::Waiting, format!("{shown} will be made")),
                Err(error) => Probe::new(what, Health::Unusable, format!("{shown} cannot be made: {error}")),
            }
        }
        Err(error) => Probe::new(what, Health::Unusable, format!("{shown}: {error}")),
    }
}

fn catalog(config: &Config) -> Probe {
    let what = "catalog";
    let opened = config.database.path().map_err(anyhow::Error::from).and_then(count);
    match opened {
        Ok(counted) => Probe::new(what, Health::Good, format!("{}: {counted}", config.database)),
        Err(error) if matches!(error.downcast_ref(), Some(catalog::Error::Missing { .. })) => {
            Probe::new(what, Health::Waiting, format!("{}: will be made", config.database))
        }
        Err(error) => Probe::new(what, Health::Unusable, told(&error)),
    }
}

fn count(path: &Path) -> anyhow::Result<String> {
    let rows = Catalog::open(path, Create::Never)?.rows()?;
    let bad: Vec<&str> =
        rows.iter().filter(|row| row.problem.is_some()).map(|row| row.name.as_str()).collect();
    let bad = if bad.is_empty() { String::new() } else { format!(", with a bad row: {}", bad.join(", ")) };
    let warned: Vec<String> = rows.iter().filter_map(warning).collect();
    let warned = if warned.is_empty() { String::new() } else { format!("; {}", warned.join("; ")) };
    Ok(counted(rows.len() as u64, "subscription", "subscriptions") + &bad + &warned)
}

/// What is odd about a row that can be used all the same.
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
            Probe::new(what, Health::Good, standing(waiting, dead))
        }
        Err(queue::Error::NoQueue { .. }) => {
            Probe::new(what, Health::Waiting, "will be made when the worker starts")
        }
        Err(error) => Probe::new(what, Health::Unusable, told(&error.into())),
    }
}

fn standing(waiting: u64, dead: u64) -> String {
    let waiting = counted(waiting, "delivery waits", "deliveries wait");
    format!("{waiting}, {}", counted(dead, "is dead", "are dead"))
}

async fn bus(config: &Config) -> Probe {
    let what = "bus";
    if !config.bus.enabled {
        return Probe::new(what, Health::Waiting, "switched off by DECNET_BUS_ENABLED=false");
    }
    match link::round_trip(config).await {
        Ok(socket) => {
            let whose = if socket == config.bus.path() { "" } else { ", that of `decnet serve` here" };
            Probe::new(what, Health::Good, format!("{} answers{whose}", socket.display()))
        }
        Err(error) => Probe::new(what, Health::Waiting, told(&error)),
    }
}

/// Can anybody use the API? It runs without that too, for its public pages.
fn api(config: &Config) -> Probe {
    let what = "API";
    if !config.api.enabled {
        return Probe::new(
            what,
            Health::Waiting,
            "switched off in `decnet serve` by DECNET_API_ENABLED=false",
        );
    }
    match has_credential(config) {
        Ok(true) => Probe::new(what, Health::Good, "a token or DECNET_JWT_SECRET is there"),
        Ok(false) => {
            let advice = "nobody can use it yet: decnet token create --name admin --scope admin";
            Probe::new(what, Health::Waiting, advice)
        }
        Err(error) => Probe::new(what, Health::Unusable, told(&error)),
    }
}
