//! Metrics as values, the common source of Prometheus, OTLP and the documentation.

use std::borrow::Cow;

use decnet_runtime::metrics::Distribution;
pub(crate) use prometheus_client::metrics::MetricType;
pub(crate) use prometheus_client::registry::Unit;

/// The value of a sample.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Number(f64),
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
    pub(crate) name: Cow<'static, str>,
    pub(crate) help: &'static str,
    pub(crate) unit: Option<Unit>,
    pub(crate) kind: MetricType,
    pub(crate) samples: Vec<Sample>,
}

impl Family {
    /// Returns a dimensionless counter without samples.
    pub(crate) fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name: name.into(), help, unit: None, kind: MetricType::Counter, samples: Vec::new() }
    }

    /// Returns a dimensionless gauge without samples.
    pub(crate) fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { kind: MetricType::Gauge, ..Self::counter(name, help) }
    }

    /// Sets the unit, which is appended to the name.
    pub(crate) fn unit(self, unit: Unit) -> Self {
        Self { unit: Some(unit), ..self }
    }

    /// Adds a sample.
    pub(crate) fn with(mut self, labels: &[(&'static str, &str)], value: f64) -> Self {
        let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.samples.push(Sample { labels, value: Value::Number(value) });
        self
    }
}

/// Returns a counter without labels.
pub(crate) fn counter(name: &'static str, help: &'static str, value: u64) -> Family {
    Family::counter(name, help).with(&[], number(value))
}

/// Returns a dimensionless gauge without labels.
pub(crate) fn gauge(name: &'static str, help: &'static str, value: u64) -> Family {
    Family::gauge(name, help).with(&[], number(value))
}

/// Returns a gauge in bytes without labels.
pub(crate) fn bytes(name: &'static str, help: &'static str, value: u64) -> Family {
    gauge(name, help, value).unit(Unit::Bytes)
}

/// Returns a histogram in seconds of a distribution in microseconds.
pub(crate) fn durations(name: &'static str, help: &'static str, distribution: Distribution) -> Family {
    histogram(name, help, distribution, 1e6).unit(Unit::Seconds)
}

/// Returns a dimensionless histogram.
pub(crate) fn sizes(name: &'static str, help: &'static str, distribution: Distribution) -> Family {
    histogram(name, help, distribution, 1.0)
}

fn histogram(name: &'static str, help: &'static str, distribution: Distribution, per_unit: f64) -> Family {
    let samples = vec![Sample { labels: Vec::new(), value: Value::Histogram { distribution, per_unit } }];
    Family { kind: MetricType::Histogram, samples, ..Family::counter(name, help) }
}

/// Converts a count to a metric value; exact up to 9 × 10^15.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(crate) fn number(value: u64) -> f64 {
    value as f64
}
