//! The interpretation of the results: the bottleneck, and how to remove it.

use decnet_bench::format::{millis, rate};
use serde::Serialize;

use super::figures::Figures;

/// The share of all cores at which the processor is the bottleneck. Below 1, because threads also wait for each other.
const BUSY: f64 = 0.75;
/// The share of one core at which a thread is the bottleneck.
const BUSY_THREAD: f64 = 0.85;
/// The share of all cores below which the processor is not the bottleneck.
const IDLE: f64 = 0.5;
/// The share of the throughput that the concurrency allows, at which the receiver is the bottleneck.
const SATURATED: f64 = 0.7;

/// The bottleneck of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Limit {
    /// All cores are busy.
    Processor,
    /// All cores are busy, many of them with other programs.
    OtherPrograms,
    /// One thread of the worker is busy, the others are not.
    OneCore,
    /// The receiver's latency and the concurrency limit the throughput.
    Receiver,
    /// The processor is mostly idle: the worker waits for commits.
    Disk,
    /// Several components together.
    #[default]
    Several,
}

impl Figures {
    /// Returns the bottleneck of the first throughput measurement, which is to one subscription.
    pub(super) fn limit(&self) -> Limit {
        let Some(one) = self.throughput.first() else { return Limit::Disk };
        let cores = self.cores as f64;
        let max_throughput = self.concurrency as f64 / self.attempt.as_secs_f64().max(1e-6);
        if one.cores_used.is_some_and(|used| used >= BUSY * cores) {
            Limit::Processor
        } else if one.cores_busy.is_some_and(|busy| busy >= BUSY * cores) {
            Limit::OtherPrograms
        } else if one.busiest_thread.is_some_and(|share| share >= BUSY_THREAD) {
            Limit::OneCore
        } else if one.deliveries_per_second >= SATURATED * max_throughput {
            Limit::Receiver
        } else if one.cores_used.is_none_or(|used| used < IDLE * cores) {
            Limit::Disk
        } else {
            Limit::Several
        }
    }

    /// Returns the sentences of the verdict.
    pub(super) fn sentences(&self) -> Vec<String> {
        let rates =
            self.throughput.iter().map(|one| match (rate(one.events_per_second), one.subscriptions) {
                (rate, 1) => format!("about {rate} events per second to one subscription"),
                (rate, many) => format!("about {rate} per second to each of {many}"),
            });
        let rates = rates.collect::<Vec<_>>().join(", or ");
        let mut sentences = vec![format!("This machine delivers {rates}."), self.explain_limit()];
        if self.disk.in_memory {
            sentences.push(
                "The data directory is in memory, so these results do not apply to a disk; specify a directory on a disk \
                 with --data-dir."
                    .into(),
            );
        }
        if self.receiver.is_none() {
            sentences.push("Publisher, bus and receiver also used this machine.".into());
        }
        sentences
    }

    fn explain_limit(&self) -> String {
        match self.limit {
            Limit::Processor => format!("The processor is the limit: all {} cores are busy.", self.cores),
            Limit::OtherPrograms => {
                "Other programs are the limit: they use most cores; measure again when they are idle.".into()
            }
            Limit::OneCore => {
                "One core is the limit: the worker's busiest thread uses it fully, so more cores would not help."
                    .into()
            }
            Limit::Receiver => format!(
                "The receiver is the limit: it responds in {} and gets at most {} concurrent requests; raise \
                 DECNET_WEBHOOK_CONCURRENCY if it can handle more.",
                millis(self.attempt),
                self.concurrency
            ),
            Limit::Disk => {
                format!("The disk is the limit: each commit waits {} for it.", millis(self.disk.fdatasync.p50))
            }
            Limit::Several => "No single component is the limit.".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use decnet_bench::disk::Disk;
    use decnet_bench::quantiles::Quantiles;

    use super::super::figures::Throughput;
    use super::*;

    /// Returns the results of a measurement: deliveries per second, cores used by this process and by other programs, and the
    /// share of a core that the busiest thread used.
    fn figures(per_second: u32, cores: f64, others: f64, busiest: f64) -> Figures {
        let p50 = Duration::from_millis(5);
        Figures {
            cores: 4,
            disk: Disk { in_memory: false, fdatasync: Quantiles { p50, ..Quantiles::default() } },
            concurrency: 10,
            attempt: Duration::from_millis(1),
            throughput: vec![Throughput {
                subscriptions: 1,
                deliveries_per_second: per_second.into(),
                events_per_second: per_second.into(),
                busiest_thread: Some(busiest),
                cores_used: Some(cores),
                cores_busy: Some(cores + others),
                ..Throughput::default()
            }],
            ..Figures::default()
        }
    }

    #[test]
    fn saturated_component_is_the_bottleneck() {
        for (per_second, cores, others, busiest, expected) in [
            (5000, 3.9, 0.0, 0.9, Limit::Processor),
            (5000, 2.0, 1.9, 0.9, Limit::OtherPrograms),
            (5000, 2.0, 0.1, 0.9, Limit::OneCore),
            (9000, 2.0, 0.1, 0.5, Limit::Receiver),
            (2000, 0.5, 0.1, 0.2, Limit::Disk),
            (2000, 2.5, 0.1, 0.2, Limit::Several),
        ] {
            let mut figures = figures(per_second, cores, others, busiest);
            figures.limit = figures.limit();
            assert_eq!(figures.limit, expected);
            let text = figures.sentences().join(" ");
            assert!(text.contains("the limit") && text.contains("events per second"), "{text}");
        }
    }

    #[test]
    fn file_system_in_memory_is_reported() {
        let mut figures = figures(1, 1.0, 0.0, 0.1);
        figures.disk.in_memory = true;
        let text = figures.sentences().join(" ");
        assert!(text.contains("is in memory") && text.contains("--data-dir"), "{text}");
    }
}
