//! The interpretation of the results: the bottleneck, and how to remove it. Pure.

use std::time::Duration;

use serde::Serialize;

use super::disk::Disk;
use super::figures::{Throughput, grouped};

/// The share of all cores from which the processor is the bottleneck. Below 1, because threads also wait for each other.
const BUSY: f64 = 0.75;
/// The share of one core from which a thread is the bottleneck.
const BUSY_THREAD: f64 = 0.85;
/// The share of all cores below which the processor is not the bottleneck.
const IDLE: f64 = 0.5;
/// The share of the throughput that the concurrency allows from which the receiver is the bottleneck.
const SATURATED: f64 = 0.7;

/// The bottleneck of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
    Several,
}

/// The conditions of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conditions {
    pub(super) disk: Disk,
    pub(super) cores: usize,
    pub(super) concurrency: usize,
    /// The median duration of an attempt at the paced rate.
    pub(super) attempt: Duration,
    pub(super) is_built_in: bool,
}

impl Conditions {
    /// Returns the deliveries per second that the concurrency allows for one subscription.
    fn max_throughput(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a setting, far below 2^53")]
        let concurrency = self.concurrency as f64;
        concurrency / self.attempt.as_secs_f64().max(1e-6)
    }
}

/// Returns the bottleneck of the first throughput measurement, which is to one subscription.
pub(super) fn limit(conditions: &Conditions, throughput: &[Throughput]) -> Limit {
    let Some(one) = throughput.first() else { return Limit::Disk };
    #[expect(clippy::cast_precision_loss, reason = "a number of cores")]
    let cores = conditions.cores as f64;
    if one.cores_used.is_some_and(|used| used >= BUSY * cores) {
        Limit::Processor
    } else if one.cores_busy.is_some_and(|busy| busy >= BUSY * cores) {
        Limit::OtherPrograms
    } else if one.busiest_thread.is_some_and(|share| share >= BUSY_THREAD) {
        Limit::OneCore
    } else if one.deliveries_per_second >= SATURATED * conditions.max_throughput() {
        Limit::Receiver
    } else if one.cores_used.is_none_or(|used| used < IDLE * cores) {
        Limit::Disk
    } else {
        Limit::Several
    }
}

/// Returns the sentences of the verdict.
pub(super) fn sentences(conditions: &Conditions, throughput: &[Throughput], limit: Limit) -> Vec<String> {
    let mut sentences = vec![rates(throughput), reason(conditions, limit)];
    if conditions.disk.in_memory {
        sentences.push(
            "The data directory is in memory: it does not survive a power failure, and these results do not \
 apply to a disk; name a directory on a disk with --data-dir."
                .into(),
        );
    }
    if conditions.is_built_in {
        sentences.push(
"Publisher, bus and receiver also used this machine; with a receiver elsewhere more is left for the worker."
.into(),
);
    }
    sentences
}

fn rates(throughput: &[Throughput]) -> String {
    let rates = throughput.iter().map(|throughput| match throughput.subscriptions {
        1 => format!("about {} events per second to one subscription", grouped(throughput.events_per_second)),
        many => format!("about {} per second to each of {many}", grouped(throughput.events_per_second)),
    });
    let text = rates.collect::<Vec<_>>().join(", or ");
    format!("This machine delivers {text}.")
}

fn reason(conditions: &Conditions, limit: Limit) -> String {
    let commit = format!("{:.2} ms", conditions.disk.fdatasync.p50.as_secs_f64() * 1e3);
    match limit {
        Limit::Processor => format!("The processor is the limit: all {} cores are busy.", conditions.cores),
        Limit::OtherPrograms => format!(
            "Other programs are the limit: all {} cores are busy, and this program uses only some of them; measure \
             again when the others are idle.",
            conditions.cores
        ),
        Limit::OneCore => {
            "One core is the limit: the worker's busiest thread uses all of it; a faster core would help, more cores \
             would not."
                .into()
        }
        Limit::Receiver => format!(
            "The receiver is the limit: it responds in {:.1} ms and gets at most {} concurrent requests; raise \
             DECNET_WEBHOOK_CONCURRENCY if it can handle more.",
            conditions.attempt.as_secs_f64() * 1e3,
            conditions.concurrency
        ),
        Limit::Several => format!(
            "No single component is the limit: the processor is mostly busy, and the remaining time is spent waiting for \
             the disk, {commit} per commit, and for the receiver."
        ),
        Limit::Disk => format!(
            "The disk is the limit: each commit waits for it, for {commit} without other load, and neither processor nor \
             receiver is busy."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::cpu::CpuTime;
    use super::super::figures::Quantiles;
    use super::*;

    fn conditions() -> Conditions {
        let p50 = Duration::from_millis(5);
        let disk = Disk { in_memory: false, fdatasync: Quantiles { p50, ..Quantiles::default() } };
        Conditions { disk, cores: 4, concurrency: 10, attempt: Duration::from_millis(1), is_built_in: true }
    }

    fn throughput(per_second: u64, cores: f64, others: f64, busiest: f64) -> Throughput {
        let cpu = CpuTime { machine: cores + others, process: cores, worker: cores / 2.0, busiest };
        Throughput::new(1, per_second, Duration::from_secs(1), Some(cpu))
    }

    #[test]
    fn limit_is_the_saturated_component() {
        for (per_second, cores, others, busiest, expected) in [
            (5000, 3.9, 0.0, 0.9, Limit::Processor),
            (5000, 2.0, 1.9, 0.9, Limit::OtherPrograms),
            (5000, 2.0, 0.1, 0.9, Limit::OneCore),
            (9000, 2.0, 0.1, 0.5, Limit::Receiver),
            (2000, 0.5, 0.1, 0.2, Limit::Disk),
            (2000, 2.5, 0.1, 0.2, Limit::Several),
        ] {
            let throughput = [throughput(per_second, cores, others, busiest)];
            assert_eq!(limit(&conditions(), &throughput), expected);
            let text = sentences(&conditions(), &throughput, expected).join(" ");
            assert!(text.contains("the limit") && text.contains("events per second"), "{text}");
        }
    }

    #[test]
    fn file_system_in_memory_is_reported() {
        let mut conditions = conditions();
        conditions.disk.in_memory = true;
        let text = sentences(&conditions, &[throughput(1, 1.0, 0.0, 0.1)], Limit::Disk).join(" ");
        assert!(text.contains("is in memory") && text.contains("--data-dir"), "{text}");
    }
}
