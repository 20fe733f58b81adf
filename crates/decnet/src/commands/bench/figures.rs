//! The results of a run, as text and as JSON.

use std::time::Duration;

use decnet_core::redact::EndpointUrl;
use serde::{Serialize, Serializer};

use super::cpu::CpuTime;
use super::disk::Disk;
use super::driver::Measured;
use super::verdict::{self, Conditions, Limit};
use crate::config::Config;
use crate::output::{Paint, Text, pluralize};

/// The results of a run.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    version: &'static str,
    /// The build profile of this program; packages are built with `dist`.
    build_profile: &'static str,
    cores: usize,
    /// The data directory, whose disk is measured.
    data_dir: String,
    disk: Disk,
    /// The receiver's URL; `None` for the built-in one.
    receiver: Option<String>,
    /// The configured maximum of requests in flight to one subscription.
    concurrency: usize,
    latency: Latency,
    throughput: Vec<Throughput>,
    limit: Limit,
    verdict: Vec<String>,
}

/// The latency from the due time of an event to the receiver's response, at a rate at which nothing queues.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Latency {
    pub(super) per_second: u32,
    #[serde(flatten)]
    pub(super) quantiles: Quantiles,
}

/// Quantiles of durations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Quantiles {
    pub(super) count: usize,
    #[serde(rename = "p50_ms", serialize_with = "millis")]
    pub(super) p50: Duration,
    #[serde(rename = "p99_ms", serialize_with = "millis")]
    pub(super) p99: Duration,
    #[serde(rename = "max_ms", serialize_with = "millis")]
    pub(super) max: Duration,
}

/// The results of a measurement at full speed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Throughput {
    pub(super) subscriptions: u32,
    pub(super) deliveries: u64,
    seconds: f64,
    pub(super) deliveries_per_second: f64,
    pub(super) events_per_second: f64,
    /// The CPU time of the worker, without bus and receiver. `None` without `/proc`.
    pub(super) cpu_seconds_per_100_000: Option<f64>,
    /// The share of one core that the worker's busiest thread used.
    pub(super) busiest_thread: Option<f64>,
    /// The number of cores that this process used: bus, worker, publisher and the built-in receiver.
    pub(super) cores_used: Option<f64>,
    /// The number of cores that all programs of the machine used.
    pub(super) cores_busy: Option<f64>,
}

fn millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64() * 1e3)
}

impl Quantiles {
    pub(super) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1));
        let at = |percent| at(percent).copied().unwrap_or_default();
        Self { count: times.len(), p50: at(50), p99: at(99), max: at(100) }
    }
}

impl Throughput {
    pub(super) fn new(subscriptions: u32, deliveries: u64, took: Duration, cpu: Option<CpuTime>) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "deliveries of a run are far below 2^53")]
        let (seconds, count) = (took.as_secs_f64().max(1e-6), deliveries as f64);
        Self {
            subscriptions,
            deliveries,
            seconds,
            deliveries_per_second: count / seconds,
            events_per_second: count / seconds / f64::from(subscriptions),
            cpu_seconds_per_100_000: cpu.map(|cpu| cpu.worker / count.max(1.0) * 1e5),
            busiest_thread: cpu.map(|cpu| cpu.busiest / seconds),
            cores_used: cpu.map(|cpu| cpu.process / seconds),
            cores_busy: cpu.map(|cpu| cpu.machine / seconds),
        }
    }
}

impl Figures {
    pub(super) fn new(
        config: &Config,
        receiver: Option<&EndpointUrl>,
        disk: Disk,
        measured: Measured,
    ) -> Self {
        let Measured { latency, attempt, throughput } = measured;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let concurrency = config.delivery.concurrency;
        let conditions = Conditions { disk, cores, concurrency, attempt, is_built_in: receiver.is_none() };
        let limit = verdict::limit(&conditions, &throughput);
        let verdict = verdict::sentences(&conditions, &throughput, limit);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            build_profile: env!("DECNET_BUILD_PROFILE"),
            cores,
            data_dir: config.data_dir.display().to_string(),
            disk,
            receiver: receiver.map(ToString::to_string),
            concurrency,
            latency,
            throughput,
            limit,
            verdict,
        }
    }

    /// Formats the results as text, with the verdict at the end.
    pub(super) fn human(&self, paint: Paint) -> Text {
        let mut text = Text::default();
        let mut add = |head: &str, rest: String| {
            text += paint.strong(&format!("{head:<10}"));
            text += format!("  {rest}");
            text.end_line();
        };
        let advice = if self.build_profile == "dist" {
            ""
        } else {
            "; build with --profile dist for realistic results"
        };
        add("program", format!("{} ({} build{advice})", self.version, self.build_profile));
        let receiver = self.receiver.as_deref().unwrap_or("built in, on loopback");
        add(
            "receiver",
            format!("{receiver}; at most {} concurrent requests per subscription", self.concurrency),
        );
        let memory = if self.disk.in_memory { ", IN MEMORY, NOT ON A DISK" } else { "" };
        add("disk", format!("fdatasync {}, in {}{memory}", self.disk.fdatasync.human(), self.data_dir));
        let Latency { per_second, quantiles } = &self.latency;
        add("latency", format!("{} from publish to response, at {per_second} per second", quantiles.human()));
        for (number, throughput) in self.throughput.iter().enumerate() {
            add(if number == 0 { "throughput" } else { "" }, throughput.human());
        }
        text.end_line();
        for (number, sentence) in self.verdict.iter().enumerate() {
            text += if number == 0 { paint.good(sentence) } else { sentence.into() };
            text.end_line();
        }
        text
    }
}

impl Quantiles {
    fn human(&self) -> String {
        let millis = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
        format!("{} (p50), {} (p99)", millis(self.p50), millis(self.p99))
    }
}

impl Throughput {
    fn human(&self) -> String {
        let subscriptions = pluralize(self.subscriptions.into(), "subscription", "subscriptions");
        let cpu = self
            .cpu_seconds_per_100_000
            .map_or(String::new(), |cpu| format!(", {cpu:.1} s of CPU per 100,000"));
        format!("{} deliveries per second to {subscriptions}{cpu}", grouped(self.deliveries_per_second))
    }
}

/// Formats a rate with three significant digits, which is its precision, and with commas.
pub(super) fn grouped(rate: f64) -> String {
    if rate < 10.0 {
        return format!("{rate:.1}");
    }
    let unit = 10f64.powf((rate.log10().floor() - 2.0).max(0.0));
    let digits = format!("{:.0}", (rate / unit).round() * unit);
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_measured_values() {
        let taken = (1..=200).rev().map(Duration::from_millis).collect();
        let Quantiles { count, p50, p99, max } = Quantiles::of(taken);
        assert_eq!((count, p50.as_millis(), p99.as_millis(), max.as_millis()), (200, 100, 198, 200));
        assert_eq!(Quantiles::of(Vec::new()), Quantiles::default());
    }

    #[test]
    fn rates_have_three_significant_digits() {
        for (rate, shown) in
            [(3.34, "3.3"), (27.4, "27"), (999.6, "1,000"), (27_926.0, "27,900"), (1_234_567.0, "1,230,000")]
        {
            assert_eq!(grouped(rate), shown);
        }
    }
}
