//! The results of a run, as text and as JSON.

use std::time::Duration;

use decnet_bench::cpu::CpuTime;
use decnet_bench::disk::Disk;
use decnet_bench::format;
use decnet_bench::quantiles::Quantiles;
use decnet_core::redact::EndpointUrl;
use serde::Serialize;

use super::driver::Measured;
use super::rig::OTHER_THREADS;
use super::verdict::Limit;
use crate::config::Config;
use crate::output::{Paint, Text, pluralize};

/// The results of a run.
#[derive(Debug, Default, Serialize)]
pub(super) struct Figures {
    pub(super) version: &'static str,
    /// The build profile of this program; packages are built with `dist`.
    pub(super) build_profile: &'static str,
    pub(super) cores: usize,
    /// The data directory, whose disk is measured.
    pub(super) data_dir: String,
    pub(super) disk: Disk,
    /// The receiver's URL; `None` for the built-in receiver.
    pub(super) receiver: Option<String>,
    /// The configured maximum of requests in flight to one subscription.
    pub(super) concurrency: usize,
    pub(super) latency: Latency,
    /// The median duration of an attempt at the paced rate.
    #[serde(skip)]
    pub(super) attempt: Duration,
    pub(super) throughput: Vec<Throughput>,
    pub(super) limit: Limit,
    pub(super) verdict: Vec<String>,
}

/// The latency from the due time of an event to the receiver's response, at a rate at which nothing queues.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Latency {
    pub(super) per_second: u32,
    #[serde(flatten)]
    pub(super) quantiles: Quantiles,
}

/// The results of a measurement at full speed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Throughput {
    pub(super) subscriptions: u32,
    pub(super) deliveries: u64,
    pub(super) seconds: f64,
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

impl Throughput {
    pub(super) fn new(subscriptions: u32, deliveries: u64, time: Duration, cpu: Option<CpuTime>) -> Self {
        let (seconds, count) = (time.as_secs_f64().max(1e-6), deliveries as f64);
        let mut throughput = Self {
            subscriptions,
            deliveries,
            seconds,
            deliveries_per_second: count / seconds,
            events_per_second: count / seconds / f64::from(subscriptions),
            ..Self::default()
        };
        if let Some(cpu) = cpu {
            let is_worker = |name: &str| !OTHER_THREADS.contains(&name);
            let workers = cpu.threads.iter().filter(|thread| is_worker(&thread.name));
            let worker: Vec<f64> = workers.map(|thread| thread.cpu_seconds).collect();
            let total: f64 = worker.iter().sum();
            throughput.cpu_seconds_per_100_000 = Some(total / count.max(1.0) * 1e5);
            throughput.busiest_thread = Some(worker.into_iter().fold(0.0, f64::max) / seconds);
            throughput.cores_used = Some(cpu.process / seconds);
            throughput.cores_busy = Some(cpu.machine / seconds);
        }
        throughput
    }

    fn human(&self) -> String {
        let subscriptions = pluralize(self.subscriptions.into(), "subscription", "subscriptions");
        let cpu = self
            .cpu_seconds_per_100_000
            .map_or(String::new(), |cpu| format!(", {cpu:.1} s of CPU per 100,000"));
        format!("{} deliveries per second to {subscriptions}{cpu}", format::rate(self.deliveries_per_second))
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
        let mut figures = Self {
            version: env!("CARGO_PKG_VERSION"),
            build_profile: env!("DECNET_BUILD_PROFILE"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            data_dir: config.data_dir.display().to_string(),
            disk,
            receiver: receiver.map(ToString::to_string),
            concurrency: config.worker.concurrency,
            latency,
            attempt,
            throughput,
            ..Self::default()
        };
        figures.limit = figures.limit();
        figures.verdict = figures.sentences();
        figures
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
        add("disk", format!("fdatasync {}, in {}{memory}", self.disk.fdatasync, self.data_dir));
        let Latency { per_second, quantiles } = &self.latency;
        add("latency", format!("{quantiles} from publish to response, at {per_second} per second"));
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
