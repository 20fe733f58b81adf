//! What the figures mean: the limit that was met, and what could be done about it. Pure.

use std::time::Duration;

use serde::Serialize;

use super::disk::Disk;
use super::figures::{Throughput, grouped};

/// Share of all cores from which on there is hardly any left: those that work for each other also wait for each other.
const BUSY: f64 = 0.75;
/// Share of one core from which on a thread has hardly any time left.
const BUSY_THREAD: f64 = 0.85;
/// Share of all cores below which something else than the processor is waited for.
const IDLE: f64 = 0.5;
/// Share of what the requests in flight allow, from which on they are what holds it up.
const SATURATED: f64 = 0.7;

/// What nothing more would go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Limit {
    /// All cores are busy.
    Processor,
    /// All cores are busy, a good part of them with other programs.
    OtherPrograms,
    /// One thread of the worker is busy, others are not.
    OneCore,
    /// The receiver answers no faster, with so many requests at once.
    Receiver,
    /// The processor is half idle: commits are waited for.
    Disk,
    /// None by itself.
    Several,
}

/// What the verdict is about, beside the throughput.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) disk: Disk,
    pub(super) cores: usize,
    pub(super) concurrency: usize,
    /// How long one attempt took, unhurried.
    pub(super) attempt: Duration,
    pub(super) is_built_in: bool,
}

impl Seen {
    /// Deliveries a second that the requests in flight to one subscription allow.
    fn in_flight_allows(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a setting, far below 2^53")]
        let concurrency = self.concurrency as f64;
        concurrency / self.attempt.as_secs_f64().max(1e-6)
    }
}

/// The limit of the throughput that stands first, which is to one subscription.
pub(super) fn limit(seen: &Seen, throughput: &[Throughput]) -> Limit {
    let Some(one) = throughput.first() else { return Limit::Disk };
    #[expect(clippy::cast_precision_loss, reason = "a number of cores")]
    let cores = seen.cores as f64;
    if one.cores_used.is_some_and(|used| used >= BUSY * cores) {
        Limit::Processor
    } else if one.cores_busy.is_some_and(|busy| busy >= BUSY * cores) {
        Limit::OtherPrograms
    } else if one.busiest_thread.is_some_and(|share| share >= BUSY_THREAD) {
        Limit::OneCore
    } else if one.deliveries_per_second >= SATURATED * seen.in_flight_allows() {
        Limit::Receiver
    } else if one.cores_used.is_none_or(|used| used < IDLE * cores) {
        Limit::Disk
    } else {
        Limit::Several
    }
}

/// What it comes to, a sentence each.
pub(super) fn words(seen: &Seen, throughput: &[Throughput], limit: Limit) -> Vec<String> {
    let mut said = vec![rates(throughput), reason(seen, limit)];
    if seen.disk.in_memory {
        said.push(
            "The data directory is in memory: it would not survive a power cut, and these figures say nothing \
             about a disk; name a directory on one with --data-dir."
                .into(),
        );
    }
    if seen.is_built_in {
        said.push("Publisher, bus and receiver had their share of this machine; a receiver elsewhere leaves it more.".into());
    }
    said
}

fn rates(throughput: &[Throughput]) -> String {
    let rates = throughput.iter().map(|throughput| match throughput.subscriptions {
        1 => format!("about {} events a second to one subscription", grouped(throughput.events_per_second)),
        many => format!("about {} a second to each of {many}", grouped(throughput.events_per_second)),
    });
    let text = rates.collect::<Vec<_>>().join(", or ");
    format!("This machine delivers {text}.")
}

fn reason(seen: &Seen, limit: Limit) -> String {
    let commit = format!("{:.2} ms", seen.disk.fdatasync.p50.as_secs_f64() * 1e3);
    match limit {
        Limit::Processor => format!("The processor is the limit: all {} cores are busy.", seen.cores),
        Limit::OtherPrograms => format!(
            "Other programs are the limit: all {} cores are busy, a good part of them not with this; measure \
             again when they rest.",
            seen.cores
        ),
        Limit::OneCore => {
            "One core is the limit: the worker's busiest thread has no time left; a faster core would \
                           help, more cores would not."
                .into()
        }
        Limit::Receiver => format!(
            "The receiver is the limit: it takes {:.1} ms for an answer and gets at most {} requests at once; \
             DECNET_WEBHOOK_CONCURRENCY raises that, if it can stand it.",
            seen.attempt.as_secs_f64() * 1e3,
            seen.concurrency
        ),
        Limit::Several => format!(
            "No part by itself is the limit: the processor is busy for the most part, and the rest of the time goes in \
             waiting for the disk, {commit} a commit, and for the receiver."
        ),
        Limit::Disk => format!(
            "The disk is the limit: each commit waits for it, {commit} where nothing else does, and neither \
             processor nor receiver is busy."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::cpu::Spent;
    use super::super::figures::Quantiles;
    use super::*;

    fn seen() -> Seen {
        let p50 = Duration::from_millis(5);
        let disk = Disk { in_memory: false, fdatasync: Quantiles { p50, ..Quantiles::default() } };
        Seen { disk, cores: 4, concurrency: 10, attempt: Duration::from_millis(1), is_built_in: true }
    }

    fn throughput(per_second: u64, cores: f64, others: f64, busiest: f64) -> Throughput {
        let spent = Spent { machine: cores + others, all: cores, worker: cores / 2.0, busiest };
        Throughput::new(1, per_second, Duration::from_secs(1), Some(spent))
    }

    #[test]
    fn the_limit_is_what_has_nothing_left() {
        for (per_second, cores, others, busiest, expected) in [
            (5000, 3.9, 0.0, 0.9, Limit::Processor),
            (5000, 2.0, 1.9, 0.9, Limit::OtherPrograms),
            (5000, 2.0, 0.1, 0.9, Limit::OneCore),
            (9000, 2.0, 0.1, 0.5, Limit::Receiver),
            (2000, 0.5, 0.1, 0.2, Limit::Disk),
            (2000, 2.5, 0.1, 0.2, Limit::Several),
        ] {
            let throughput = [throughput(per_second, cores, others, busiest)];
            assert_eq!(limit(&seen(), &throughput), expected);
            let words = words(&seen(), &throughput, expected).join(" ");
            assert!(words.contains("the limit") && words.contains("events a second"), "{words}");
        }
    }

    #[test]
    fn memory_is_never_taken_for_a_disk() {
        let mut seen = seen();
        seen.disk.in_memory = true;
        let words = words(&seen, &[throughput(1, 1.0, 0.0, 0.1)], Limit::Disk).join(" ");
        assert!(words.contains("is in memory") && words.contains("--data-dir"), "{words}");
    }
}
