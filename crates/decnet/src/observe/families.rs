//! Metrics as values, the common source of Prometheus, OTLP and the documentation.

use std::time::Duration;

use decnet_core::measure::Distribution;

/// The unit of a metric, appended to its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// A dimensionless number, without a suffix.
    None,
    Seconds,
    Bytes,
}

/// The value of a sample.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A monotonic counter.
    Counter(f64),
    Gauge(f64),
    Histogram {
        distribution: Distribution,
        /// The number of the distribution's units in one unit of the family. A divisor instead of a factor for precision:
        /// 100,000 µs / 1e6 is 0.1 s, while 100,000 µs × 1e-6 is 0.09999999999999999 s.
        per_unit: f64,
    },
}

/// One value and its labels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) labels: Vec<(&'static str, String)>,
    pub(crate) value: Value,
}

/// A metric: its name without unit and `_total`, its description, and its samples, which are all of one kind.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) unit: Unit,
    pub(crate) kind: Kind,
    pub(crate) samples: Vec<Sample>,
}

/// The kind of a family's samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Family {
    /// Creates a family without samples.
    pub(crate) fn new(name: &'static str, help: &'static str, unit: Unit, kind: Kind) -> Self {
        Self { name, help, unit, kind, samples: Vec::new() }
    }

    /// Adds a sample.
    pub(crate) fn with(mut self, labels: &[(&'static str, &str)], value: f64) -> Self {
        let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let value = match self.kind {
            Kind::Counter => Value::Counter(value),
            Kind::Gauge | Kind::Histogram => Value::Gauge(value),
        };
        self.samples.push(Sample { labels, value });
        self
    }
}

/// Returns a counter without labels.
pub(crate) fn counter(name: &'static str, help: &'static str, value: u64) -> Family {
    Family::new(name, help, Unit::None, Kind::Counter).with(&[], number(value))
}

/// Returns a dimensionless gauge without labels.
pub(crate) fn gauge(name: &'static str, help: &'static str, value: u64) -> Family {
    Family::new(name, help, Unit::None, Kind::Gauge).with(&[], number(value))
}

/// Returns a gauge in bytes without labels.
pub(crate) fn bytes(name: &'static str, help: &'static str, value: u64) -> Family {
    Family::new(name, help, Unit::Bytes, Kind::Gauge).with(&[], number(value))
}

/// Returns a histogram in seconds of a distribution in microseconds.
pub(crate) fn durations(name: &'static str, help: &'static str, distribution: Distribution) -> Family {
    let mut family = Family::new(name, help, Unit::Seconds, Kind::Histogram);
    let value = Value::Histogram { distribution, per_unit: 1e6 };
    family.samples.push(Sample { labels: Vec::new(), value });
    family
}

/// Returns a dimensionless histogram.
pub(crate) fn sizes(name: &'static str, help: &'static str, distribution: Distribution) -> Family {
    let mut family = Family::new(name, help, Unit::None, Kind::Histogram);
    family
        .samples
        .push(Sample { labels: Vec::new(), value: Value::Histogram { distribution, per_unit: 1.0 } });
    family
}

/// Converts a count to a metric value; exact up to 9 × 10^15.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(crate) fn number(value: u64) -> f64 {
    value as f64
}

/// Returns fractional seconds.
pub(crate) fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
