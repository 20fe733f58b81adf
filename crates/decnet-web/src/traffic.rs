//! Rates, latency and backlog over time: figures, charts and their numbers.

use std::time::Duration;

use serde::Deserialize;

use crate::chart::{Chart, Scale, Series, Tone};
use crate::{Count, Span, Text, Time};

/// The shortest part of an interval whose rates are shown; a shorter part fluctuates too much.
const MIN_SECONDS: f64 = 10.0;

/// The worker's traffic, as the API returns it.
#[derive(Debug, Clone, Deserialize)]
pub struct Traffic {
    /// The time of the worker's start.
    pub since: Time,
    /// The connection to the bus.
    pub bus: BusLink,
    /// The last minute.
    pub now: Interval,
    /// The last hour.
    pub hour: Vec<Option<Interval>>,
    /// The last day.
    pub day: Vec<Option<Interval>>,
}

/// The connection to the bus.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the fields of the API")]
pub struct BusLink {
    pub state: String,
    pub problem: Option<Text>,
    pub dropped: Option<Count>,
    pub publisher_pauses: Option<Count>,
}

/// What happened in an interval.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the fields of the API")]
pub struct Interval {
    pub at: Time,
    pub seconds: f64,
    pub admitted: Count,
    pub delivered: Count,
    pub failed_attempts: Count,
    pub dead: Count,
    pub latency_p50_ms: Option<f64>,
    pub latency_p99_ms: Option<f64>,
    pub waiting: Count,
    pub oldest_seconds: f64,
}

/// The span of time of the charts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum Range {
    /// The last hour, by minute.
    #[default]
    #[serde(rename = "1h")]
    Hour,
    /// The last 24 hours, by quarter of an hour.
    #[serde(rename = "24h")]
    Day,
}

/// The traffic as the overview shows it; without a worker there is none.
#[derive(Debug)]
pub struct TrafficView {
    /// The span of time.
    pub range: Range,
    /// What the worker has counted.
    pub traffic: Option<Traffic>,
}

impl Range {
    /// Returns both, with the address and the name of each.
    #[must_use]
    pub fn all() -> [(Self, &'static str, &'static str); 2] {
        [(Self::Hour, "/", "1 hour"), (Self::Day, "/?range=24h", "24 hours")]
    }

    /// Returns the labels of the beginning and the middle of the charts.
    #[must_use]
    pub fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::Hour => ("60 min ago", "30 min ago"),
            Self::Day => ("24 h ago", "12 h ago"),
        }
    }

    /// Returns the length of an interval in words.
    #[must_use]
    pub fn interval(self) -> &'static str {
        match self {
            Self::Hour => "minute",
            Self::Day => "15 minutes",
        }
    }
}

impl Interval {
    /// Returns the events that were admitted per second.
    #[must_use]
    pub fn rate_in(&self) -> String {
        rate(self.per_second(self.admitted))
    }

    /// Returns the deliveries per second.
    #[must_use]
    pub fn rate_out(&self) -> String {
        rate(self.per_second(self.delivered))
    }

    /// Returns the median of the latency.
    #[must_use]
    pub fn p50(&self) -> String {
        latency(self.latency_p50_ms)
    }

    /// Returns the 99th percentile of the latency.
    #[must_use]
    pub fn p99(&self) -> String {
        latency(self.latency_p99_ms)
    }

    /// Returns the age of the oldest waiting delivery.
    #[must_use]
    pub fn oldest(&self) -> Option<Span> {
        (!self.waiting.is_zero())
            .then(|| Span(Duration::try_from_secs_f64(self.oldest_seconds).unwrap_or_default()))
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate is rounded anyway")]
    fn per_second(&self, count: Count) -> f64 {
        if self.seconds > 0.0 { count.0 as f64 / self.seconds } else { 0.0 }
    }
}

impl BusLink {
    /// Returns the state in words, and whether it is good.
    #[must_use]
    pub fn sentence(&self) -> (String, bool) {
        match (&*self.state, &self.problem) {
            ("none", _) => ("no bus is configured; events arrive over HTTP".into(), true),
            ("connected", Some(problem)) => (format!("connected, but events can be lost: {problem}"), false),
            ("connected", None) => (self.losses(), true),
            _ => ("not connected; the worker retries, and events over HTTP still arrive".into(), false),
        }
    }

    fn losses(&self) -> String {
        let Some(dropped) = self.dropped else { return "connected".into() };
        let pauses = self.publisher_pauses.unwrap_or_default();
        format!(
            "connected; since its start it dropped {}, and publishers waited {}",
            dropped.of("event", "events"),
            pauses.of("time", "times")
        )
    }
}

impl TrafficView {
    /// Returns the intervals with counts and their places in the charts, the newest first.
    #[must_use]
    pub fn rows(&self) -> Vec<(usize, &Interval)> {
        let intervals = self.intervals().into_iter().enumerate().rev();
        intervals.filter_map(|(place, interval)| Some((place, interval?))).collect()
    }

    fn intervals(&self) -> Vec<Option<&Interval>> {
        let Some(traffic) = &self.traffic else { return Vec::new() };
        let all = if self.range == Range::Hour { &traffic.hour } else { &traffic.day };
        let is_long = |interval: &&Interval| interval.seconds >= MIN_SECONDS;
        all.iter().map(|interval| interval.as_ref().filter(is_long)).collect()
    }

    /// Returns the charts.
    #[must_use]
    pub fn charts(&self) -> Vec<Chart> {
        let intervals = self.intervals();
        let series = |name, tone, of: &dyn Fn(&Interval) -> Option<f64>| Series {
            name,
            tone,
            values: intervals.iter().map(|interval| interval.and_then(of)).collect(),
        };
        let count = |name, tone, of: fn(&Interval) -> Count| {
            #[expect(clippy::cast_precision_loss, reason = "a chart is not that exact")]
            series(name, tone, &|interval| Some(of(interval).0 as f64))
        };
        vec![
            Chart::new(
                "Events in and deliveries out, per second",
                Scale::Linear(rate),
                &[
                    series("delivered", Tone::Good, &|one| Some(one.per_second(one.delivered))),
                    series("events in", Tone::Accent, &|one| Some(one.per_second(one.admitted))),
                ],
            ),
            Chart::new(
                format!("Failures per {}", self.range.interval()),
                Scale::Linear(whole),
                &[
                    count("failed attempts", Tone::Warn, |one| one.failed_attempts),
                    count("dead deliveries", Tone::Bad, |one| one.dead),
                ],
            ),
            Chart::new(
                "Time from event to 2xx",
                Scale::Logarithmic(milliseconds),
                &[
                    series("99 % within", Tone::Warn, &|one| one.latency_p99_ms),
                    series("half within", Tone::Accent, &|one| one.latency_p50_ms),
                ],
            ),
            Chart::new(
                "Deliveries waiting",
                Scale::Linear(whole),
                &[count("waiting", Tone::Accent, |one| one.waiting)],
            ),
        ]
    }
}

fn latency(milliseconds_or_none: Option<f64>) -> String {
    milliseconds_or_none.map_or_else(|| "–".into(), milliseconds)
}

/// Returns a rate with three significant digits at most.
fn rate(per_second: f64) -> String {
    match per_second {
        0.0 => "0".into(),
        ..0.1 => format!("{per_second:.2}"),
        ..10.0 => format!("{per_second:.1}"),
        _ => whole(per_second),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are not negative")]
fn whole(value: f64) -> String {
    Count(value.round() as u64).to_string()
}

fn milliseconds(value: f64) -> String {
    match value {
        ..10.0 => format!("{value:.1} ms"),
        ..1000.0 => format!("{value:.0} ms"),
        ..10_000.0 => format!("{:.1} s", value / 1e3),
        _ => Span(Duration::try_from_secs_f64(value / 1e3).unwrap_or_default()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_few_digits() {
        for (value, text) in [(0.0, "0"), (0.017, "0.02"), (4.96, "5.0"), (12.4, "12"), (51_234.4, "51,234")]
        {
            assert_eq!(rate(value), text);
        }
        for (value, text) in [(1.25, "1.2 ms"), (120.0, "120 ms"), (1500.0, "1.5 s"), (90_000.0, "1 min")] {
            assert_eq!(milliseconds(value), text);
        }
    }

    #[test]
    fn bus_is_described_in_words() {
        let link = |state: &str, problem: Option<&str>, dropped| {
            let problem = problem.map(Into::into);
            BusLink { state: state.into(), problem, dropped, publisher_pauses: None }.sentence()
        };
        assert_eq!(link("connected", None, None), ("connected".into(), true));
        assert!(link("connected", None, Some(Count(1))).0.contains("dropped 1 event,"));
        assert!(link("connected", Some("the user is not in the group"), None).0.contains("can be lost: the"));
        assert!(!link("away", None, None).1 && link("none", None, None).1);
    }
}
