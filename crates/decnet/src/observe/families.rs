//! Metrics as values: what Prometheus, OTLP and the documentation are made of.

use std::time::Duration;

use decnet_core::measure::Distribution;

/// What a number counts, written behind a metric's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Things; written nowhere.
    None,
    Seconds,
    Bytes,
}

/// The value of a sample.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Only ever grows.
    Counter(f64),
    Gauge(f64),
    Histogram {
        distribution: Distribution,
        /// How many of the distribution's units make one of the family's. A divisor, not a factor: 100,000 µs are 0.1 s, and
        /// multiplied by 1e-6 they are 0.09999999999999999 s.
        per_unit: f64,
    },
}

/// One value, and which of its family it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) labels: Vec<(&'static str, String)>,
    pub(crate) value: Value,
}

/// A metric: its name without unit and `_total`, what it says, and its samples, which are all of one kind.
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
    /// One without samples.
    pub(crate) fn new(name: &'static str, help: &'static str, unit: Unit, kind: Kind) -> Self {
        Self { name, help, unit, kind, samples: Vec::new() }
    }

    /// With one more sample.
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

/// A number that only ever grows.
pub(crate) fn counter(name: &'static str, help: &'static str, value: u64) -> Family {
    Family::new(name, help, Unit::None, Kind::Counter).with(&[], number(value))
}

/// A number of things.
pub(crate) fn gauge(name: &'static str, help: &'static str, value: u64) -> Family {
    Family::new(name, help, Unit::None, Kind::Gauge).with(&[], number(value))
}

/// A number of bytes.
pub(crate) fn bytes(name: &'static str, help: &'static str, value: u64) -> Family {
    Family::new(name, help, Unit::Bytes, Kind::Gauge).with(&[], number(value))
}

/// Durations, counted in microseconds.
pub(crate) fn durations(name: &'static str, help: &'static str, distribution: Distribution) -> Family {
    let mut family = Family::new(name, help, Unit::Seconds, Kind::Histogram);
    let value = Value::Histogram { distribution, per_unit: 1e6 };
    family.samples.push(Sample { labels: Vec::new(), value });
    family
}

/// Numbers of things.
pub(crate) fn sizes(name: &'static str, help: &'static str, distribution: Distribution) -> Family {
    let mut family = Family::new(name, help, Unit::None, Kind::Histogram);
    family
        .samples
        .push(Sample { labels: Vec::new(), value: Value::Histogram { distribution, per_unit: 1.0 } });
    family
}

/// As metrics carry numbers; exact up to nine quadrillions.
#[expect(clippy::cast_precision_loss, reason = "a count that large does not come about")]
pub(crate) fn number(value: u64) -> f64 {
    value as f64
}

/// Seconds with a fraction.
pub(crate) fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
