//! The status from catalog and queue, while no worker runs.

use std::collections::HashMap;

use decnet_core::subscription::Activity;
use decnet_store::catalog::{self, Catalog, Create, Row};
use decnet_store::queue::{self, Counts, Reader};
use serde_json::{Value, json};

use crate::context::Context;
use crate::output::{self, Paint, Table};

/// The subscriptions of the catalog, and the deliveries of each in the queue.
pub(super) struct Files {
    rows: Vec<Row>,
    deliveries: HashMap<String, Deliveries>,
}

#[derive(Clone, Copy, Default)]
struct Deliveries {
    waiting: u64,
    dead: u64,
}

impl Files {
    /// Reads the files. A missing file counts as empty.
    pub(super) fn read(context: &Context) -> anyhow::Result<Self> {
        let config = &context.config;
        let rows = match Catalog::open(config.database.path()?, Create::Never) {
            Ok(catalog) => catalog.rows()?,
            Err(catalog::Error::Missing { .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let deliveries = match Reader::open(&config.data_dir) {
            Ok(reader) => deliveries(&reader)?,
            Err(queue::Error::NoQueue { .. }) => HashMap::new(),
            Err(error) => return Err(error.into()),
        };
        Ok(Self { rows, deliveries })
    }

    pub(super) fn print(&self, paint: Paint) -> anyhow::Result<()> {
        let mut table = Table::new(&["SUBSCRIPTION", "STATE", "WAITING", "DEAD", "LAST ERROR"]);
        for row in &self.rows {
            let deliveries = self.deliveries(row);
            let error = row.last_error.clone().unwrap_or_default();
            table.row([
                row.name.clone(),
                state(row).into(),
                deliveries.waiting.to_string(),
                deliveries.dead.to_string(),
                error,
            ]);
        }
        if !self.rows.is_empty() {
            table.print(paint)?;
        }
        output::say("start a worker with `decnet webhook` or `decnet serve` to deliver what waits");
        Ok(())
    }

    pub(super) fn json(&self) -> Value {
        let row = |row: &Row| {
            let Deliveries { waiting, dead } = self.deliveries(row);
            json!({ "uuid": row.uuid, "name": row.name, "state": state(row), "waiting": waiting, "dead": dead,
                    "last_error": row.last_error })
        };
        json!({ "subscriptions": self.rows.iter().map(row).collect::<Vec<_>>() })
    }

    fn deliveries(&self, row: &Row) -> Deliveries {
        self.deliveries.get(&row.uuid).copied().unwrap_or_default()
    }
}

fn deliveries(reader: &Reader) -> anyhow::Result<HashMap<String, Deliveries>> {
    let entry = |counts: Counts| {
        let Counts { uuid, pending, retrying, dead, .. } = counts;
        (uuid.into(), Deliveries { waiting: pending + retrying, dead })
    };
    Ok(reader.counts()?.into_iter().map(entry).collect())
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
