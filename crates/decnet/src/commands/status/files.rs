//! The status from catalog and queue, while no worker is running.

use std::collections::HashMap;

use decnet_core::subscription::Activity;
use decnet_store::catalog::{Catalog, Row};
use serde::Serialize;

use crate::config::Config;
use crate::output::{self, Paint, Table};
use crate::store::{queue_if_exists, read_if_exists};

/// A subscription of the catalog, and its deliveries in the queue.
#[derive(Serialize)]
pub(super) struct Subscription {
    uuid: String,
    name: String,
    state: &'static str,
    waiting: u64,
    dead: u64,
    last_error: Option<String>,
    /// The reason why deliveries wait, if the filter, the format or the template cannot be used.
    hold: Option<String>,
}

/// Reads the status of the files. A missing file counts as empty.
pub(super) fn read(config: &Config) -> anyhow::Result<Vec<Subscription>> {
    let rows = read_if_exists(config, Catalog::rows)?.unwrap_or_default();
    let counts = queue_if_exists(config)?.map(|reader| reader.counts()).transpose()?.unwrap_or_default();
    let counts: HashMap<&str, _> = counts.iter().map(|counts| (&*counts.uuid, counts)).collect();
    let subscription = |row: Row| {
        let counts = counts.get(row.uuid.as_str());
        let waiting = counts.map_or(0, |counts| counts.pending + counts.retrying);
        let (state, dead) = (state(&row), counts.map_or(0, |counts| counts.dead));
        let Row { uuid, name, last_error, is_held, problem, .. } = row;
        Subscription { uuid, name, state, waiting, dead, last_error, hold: problem.filter(|_| is_held) }
    };
    Ok(rows.into_iter().map(subscription).collect())
}

pub(super) fn print(subscriptions: Vec<Subscription>, paint: Paint) -> anyhow::Result<()> {
    if !subscriptions.is_empty() {
        let row = |of: Subscription| {
            let error = of.hold.map(|hold| format!("held: {hold}")).or(of.last_error).unwrap_or_default();
            [of.name, of.state.into(), of.waiting.to_string(), of.dead.to_string(), error]
        };
        let headings = ["SUBSCRIPTION", "STATE", "WAITING", "DEAD", "LAST ERROR"];
        Table::new(headings, subscriptions.into_iter().map(row)).print(paint)?;
    }
    output::note("start a worker with `decnet webhook` or `decnet serve` to deliver the waiting events");
    Ok(())
}

fn state(row: &Row) -> &'static str {
    match row.activity {
        _ if row.is_held => "held",
        _ if row.problem.is_some() => "bad row",
        Activity::Active => "open",
        Activity::Tripped if row.gone => "gone",
        Activity::Tripped => "tripped",
        Activity::Disabled => "disabled",
    }
}
