//! What the destinations of a demo have accepted: the first result of each at once, and the numbers at the end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use decnet_dispatch::{Stats, SubscriptionMetrics};
use decnet_store::queue::Reader;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::output::{self, pluralize};

/// The interval between two reads of the metrics.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// What is known of a destination.
#[derive(Debug)]
pub(super) struct Results {
    name: String,
    /// The metrics of its subscription, once the worker has loaded it.
    metrics: Option<Arc<SubscriptionMetrics>>,
    is_success_reported: bool,
    is_failure_reported: bool,
}

/// The final numbers of a destination.
#[derive(Debug, Default)]
struct Totals {
    delivered: u64,
    dead: u64,
    waiting: u64,
    last_error: Option<Box<str>>,
}

/// Reports the first message that each destination accepts, and the first failure, until `stop`.
pub(super) async fn watch(names: Vec<String>, stats: Arc<Stats>, stop: CancellationToken) -> Vec<Results> {
    let unknown =
        |name| Results { name, metrics: None, is_success_reported: false, is_failure_reported: false };
    let mut all: Vec<Results> = names.into_iter().map(unknown).collect();
    let mut ticks = interval(POLL_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        for line in all.iter_mut().flat_map(|results| results.news(&stats)) {
            output::note(&line);
        }
    }
    all
}

/// Prints the numbers of each destination. The worker must have ended.
///
/// # Errors
/// The queue cannot be read.
pub(super) fn print(all: &[Results], data_dir: &Path) -> anyhow::Result<()> {
    let counts = Reader::open(data_dir)?.counts()?;
    for results in all {
        let Some(metrics) = &results.metrics else { continue };
        let labels = metrics.labels();
        let kept = counts.iter().find(|counts| counts.uuid == labels.uuid);
        let totals = Totals {
            delivered: metrics.delivered.get(),
            dead: metrics.dead_lettered.get(),
            waiting: kept.map_or(0, |counts| counts.pending + counts.retrying),
            last_error: labels.last_error.map(|(_, error)| error),
        };
        output::note(&format!("{}: {totals}", results.name));
    }
    Ok(())
}

impl Results {
    /// Returns the lines about what has happened for the first time.
    fn news(&mut self, stats: &Stats) -> Vec<String> {
        let Self { name, metrics, is_success_reported, is_failure_reported } = self;
        if metrics.is_none() {
            let all = stats.by_subscription.individual();
            *metrics = all.into_iter().find(|metrics| *metrics.labels().name == **name);
        }
        let Some(metrics) = metrics else { return Vec::new() };
        let mut lines = Vec::new();
        if !*is_failure_reported && let Some((_, error)) = metrics.labels().last_error {
            *is_failure_reported = true;
            lines.push(format!("{name}: a message failed: {error}"));
        }
        if !*is_success_reported && metrics.delivered.get() > 0 {
            *is_success_reported = true;
            lines.push(format!("{name}: the first message was accepted"));
        }
        lines
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { delivered, dead, waiting, last_error } = self;
        let all = pluralize(delivered + dead + waiting, "event", "events");
        write!(f, "{delivered} of {all} delivered")?;
        for (count, what) in [(waiting, "waiting"), (dead, "dead")] {
            if *count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        match last_error {
            Some(error) if dead + waiting > 0 => write!(f, "; last error: {error}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_name_what_was_not_delivered_and_why() {
        let totals = |delivered, waiting, dead| {
            let last_error = Some("HTTP 404 Not Found".into());
            Totals { delivered, dead, waiting, last_error }.to_string()
        };
        assert_eq!(Totals::default().to_string(), "0 of 0 events delivered");
        assert_eq!(totals(7, 0, 0), "7 of 7 events delivered");
        assert_eq!(totals(0, 1, 0), "0 of 1 event delivered, 1 waiting; last error: HTTP 404 Not Found");
        assert_eq!(
            totals(1, 2, 3),
            "1 of 6 events delivered, 2 waiting, 3 dead; last error: HTTP 404 Not Found"
        );
    }
}
