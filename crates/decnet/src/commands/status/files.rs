//! What the files tell while no worker runs.

use std::collections::HashMap;

use decnet_core::subscription::Activity;
use decnet_store::catalog::{self, Catalog, Create, Row};
use decnet_store::queue::{self, Counts, Reader};
use serde_json::{Value, json};

use crate::context::Context;
use crate::output::{self, Paint, Table};

/// Subscriptions as the catalog has them, and what the queue holds for each.
pub(super) struct Files {
    rows: Vec<Row>,
    owed: HashMap<String, Owed>,
}

#[derive(Clone, Copy, Default)]
struct Owed {
    waiting: u64,
    dead: u64,
}

impl Files {
    /// A file that is not there yet holds nothing.
    pub(super) fn read(context: &Context) -> anyhow::Result<Self> {
        let config = &context.config;
        let rows = match Catalog::open(config.database.path()?, Create::Never) {
            Ok(catalog) => catalog.rows()?,
            Err(catalog::Error::Missing { .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let owed = match Reader::open(&config.data_dir) {
            Ok(reader) => owed(&reader)?,
            Err(queue::Error::NoQueue { .. }) => HashMap::new(),
            Err(error) => return Err(error.into()),
        };
        Ok(Self { rows, owed })
    }

    pub(super) fn print(&self, paint: Paint) -> anyhow::Result<()> {
        let mut table = Table::new(&["SUBSCRIPTION", "STATE", "WAITING", "DEAD", "LAST ERROR"]);
        for row in &self.rows {
            let owed = self.owed(row);
            let error = row.last_error.clone().unwrap_or_default();
            table.row([
                row.name.clone(),
                state(row).into(),
                owed.waiting.to_string(),
                owed.dead.to_string(),
                error,
            ]);
        }
        if !self.rows.is_empty() {
            table.print(paint)?;
        }
        output::say("`decnet webhook` or `decnet serve` starts a worker; what waits is delivered then");
        Ok(())
    }

    pub(super) fn json(&self) -> Value {
        let row = |row: &Row| {
            let Owed { waiting, dead } = self.owed(row);
            json!({ "uuid": row.uuid, "name": row.name, "state": state(row), "waiting": waiting, "dead": dead,
                    "last_error": row.last_error })
        };
        json!({ "subscriptions": self.rows.iter().map(row).collect::<Vec<_>>() })
    }

    fn owed(&self, row: &Row) -> Owed {
        self.owed.get(&row.uuid).copied().unwrap_or_default()
    }
}

fn owed(reader: &Reader) -> anyhow::Result<HashMap<String, Owed>> {
    let owed = |counts: Counts| {
        let Counts { uuid, pending, retrying, dead, .. } = counts;
        (uuid.into(), Owed { waiting: pending + retrying, dead })
    };
    Ok(reader.counts()?.into_iter().map(owed).collect())
}

fn state(row: &Row) -> &'static str {
    match row.activity {
        _ if row.problem.is_some() => "bad row",
        Activity::Active => "open",
        Activity::Tripped if row.gone => "gone",
        Activity::Tripped => "tripped",
        Activity::Disabled => "disabled",
    }
}
