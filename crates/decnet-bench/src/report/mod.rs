//! The figures: what was measured, its medians, and how they are shown.

mod docs;
mod table;

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::rig::machine::Machine;

pub(crate) use docs::write as write_docs;

/// Everything that was seen in one run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) at: String,
    pub(crate) machine: Machine,
    pub(crate) quick: bool,
    pub(crate) fdatasync: Quantiles,
    pub(crate) throughput: Vec<Throughput>,
    pub(crate) latency: Vec<Latency>,
}

/// So many deliveries in such a time, and the CPU of the process that sent them.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Rate {
    pub(crate) deliveries: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
}

/// Reference and subject, one after the other.
#[derive(Debug, Serialize)]
pub(crate) struct Round {
    pub(crate) reference: Rate,
    pub(crate) subject: Rate,
    pub(crate) worker_threads_cpu_seconds: BTreeMap<String, f64>,
    pub(crate) bus_cpu_seconds: f64,
    pub(crate) receiver_cpu_seconds: f64,
    pub(crate) mean_body_bytes: u64,
    /// Connections that the worker made while it was measured; a few, unless it wastes them.
    pub(crate) connections: u64,
}

/// One case of throughput.
#[derive(Debug, Serialize)]
pub(crate) struct Throughput {
    pub(crate) name: String,
    pub(crate) fan_out: u32,
    pub(crate) medians: Medians,
    pub(crate) rounds: Vec<Round>,
}

/// Medians over the rounds; ratios are of each round, then their median.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Medians {
    pub(crate) reference_per_second: f64,
    pub(crate) per_second: f64,
    pub(crate) ratio: f64,
    pub(crate) lowest_ratio: f64,
    pub(crate) highest_ratio: f64,
    pub(crate) reference_cpu_per_100k: f64,
    pub(crate) cpu_per_100k: f64,
    pub(crate) cpu_ratio: f64,
    pub(crate) bus_cpu_per_100k: f64,
}

/// One case of latency.
#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) name: String,
    pub(crate) per_second: u32,
    pub(crate) latency: Quantiles,
    /// The disk alone, just before.
    pub(crate) fdatasync: Quantiles,
}

/// Microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) count: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
}

impl Report {
    pub(crate) fn new(
        machine: Machine,
        quick: bool,
        fdatasync: Quantiles,
        mut throughput: Vec<Throughput>,
        latency: Vec<Latency>,
    ) -> Self {
        for case in &mut throughput {
            case.medians = Medians::of(&case.rounds);
        }
        let at = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string();
        Self { at, machine, quick, fdatasync, throughput, latency }
    }
}

impl Throughput {
    pub(crate) fn new(name: String, fan_out: u32) -> Self {
        Self { name, fan_out, medians: Medians::default(), rounds: Vec::new() }
    }
}

impl Rate {
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
    pub(crate) fn per_second(&self) -> f64 {
        self.deliveries as f64 / self.seconds
    }

    pub(crate) fn cpu_per_100k(&self) -> f64 {
        per_100k(self.cpu_seconds, self)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
fn per_100k(seconds: f64, rate: &Rate) -> f64 {
    seconds * 1e5 / rate.deliveries as f64
}

impl Medians {
    fn of(rounds: &[Round]) -> Self {
        let over = |figure: fn(&Round) -> f64| {
            let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            figures
        };
        let ratios = over(|round| round.subject.per_second() / round.reference.per_second());
        let edge = |figure: Option<&f64>| figure.copied().unwrap_or_default();
        Self {
            reference_per_second: median(&over(|round| round.reference.per_second())),
            per_second: median(&over(|round| round.subject.per_second())),
            ratio: median(&ratios),
            lowest_ratio: edge(ratios.first()),
            highest_ratio: edge(ratios.last()),
            reference_cpu_per_100k: median(&over(|round| round.reference.cpu_per_100k())),
            cpu_per_100k: median(&over(|round| round.subject.cpu_per_100k())),
            cpu_ratio: median(&over(|round| round.subject.cpu_per_100k() / round.reference.cpu_per_100k())),
            bus_cpu_per_100k: median(&over(|round| per_100k(round.bus_cpu_seconds, &round.subject))),
        }
    }
}

/// Of sorted figures; of an even number the mean of the middle two.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The table for people, or JSON for machines.
pub(crate) fn print(report: &Report, json: bool) -> Result<()> {
    let text = if json { serde_json::to_string_pretty(report)? } else { table::plain(report) };
    writeln!(std::io::stdout().lock(), "{}", text.trim_end())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert!((median(&[1.0, 2.0, 9.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(&[1.0, 2.0, 4.0, 9.0]) - 3.0).abs() < f64::EPSILON);
        assert!(median(&[]).abs() < f64::EPSILON);
    }
}
