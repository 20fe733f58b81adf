//! Metrics as text, in the OpenMetrics format and in Prometheus's older format.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::registry::Registry;

use super::families::{Family, MetricType, Sample, Value, number};

/// The text format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus 0.0.4, the default.
    Prometheus,
}

impl Format {
    /// Returns the format that an `Accept` header requests.
    pub(crate) fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Prometheus }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
        }
    }
}

/// Writes the whole document.
pub(crate) fn write(families: Vec<Family>, format: Format) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families(families)));
    let mut text = String::new();
    match format {
        Format::OpenMetrics => text::encode(&mut text, &registry),
        Format::Prometheus => prometheus_text::encode(&mut text, &registry),
    }
    .expect("writing to a string does not fail");
    text
}

/// A collector of families.
#[derive(Debug)]
struct Families(Vec<Family>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|family| family.encode(&mut encoder))
    }
}

impl Family {
    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut encoder = encoder.encode_descriptor(&self.name, self.help, self.unit.as_ref(), self.kind)?;
        self.samples.iter().try_for_each(|sample| sample.encode(self.kind, &mut encoder))
    }
}

impl Sample {
    fn encode(&self, kind: MetricType, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        if self.labels.is_empty() {
            return self.value.encode(kind, encoder);
        }
        let labels: Vec<(&str, &str)> =
            self.labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.value.encode(kind, &mut encoder.encode_family(&labels)?)
    }
}

impl Value {
    fn encode(&self, kind: MetricType, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        match self {
            Self::Number(value) if kind == MetricType::Counter => {
                encoder.encode_counter::<NoLabelSet, _, f64>(value, None)
            }
            Self::Number(value) => encoder.encode_gauge(value),
            Self::Histogram { distribution, per_unit } => {
                let bounds =
                    distribution.bounds.iter().map(|bound| number(*bound) / per_unit).chain([f64::INFINITY]);
                let buckets: Vec<(f64, u64)> = bounds.zip(distribution.counts.iter().copied()).collect();
                let sum = number(distribution.sum) / per_unit;
                encoder.encode_histogram::<NoLabelSet>(sum, distribution.total(), &buckets, None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use decnet_runtime::metrics::Histogram;

    use super::super::families::{bytes, counter, durations};
    use super::*;

    fn families() -> Vec<Family> {
        let histogram = Histogram::new(&[1000, 100_000, 2_000_000]);
        [500, 1_500_000, 9_000_000].into_iter().for_each(|value| histogram.observe(value));
        let labelled = Family::gauge("c", "Help");
        vec![
            counter("a", "Help", 7),
            bytes("b", "Help", 1),
            labelled.with(&[("subscription", "a \"b\"\n\\")], 2.0),
            durations("d", "Help", histogram.read()),
        ]
    }

    #[test]
    fn openmetrics_is_written_as_specified() {
        let text = write(families(), Format::OpenMetrics);
        for line in [
            "# TYPE a counter",
            "a_total 7",
            "# UNIT b_bytes bytes",
            "b_bytes 1",
            r#"c{subscription="a \"b\"\n\\"} 2"#,
            r#"d_seconds_bucket{le="0.001"} 1"#,
            r#"d_seconds_bucket{le="0.1"} 1"#,
            r#"d_seconds_bucket{le="2.0"} 2"#,
            r#"d_seconds_bucket{le="+Inf"} 3"#,
            "d_seconds_count 3",
        ] {
            assert!(
                text.lines().any(|found| found == line || found == format!("{line}.0")),
                "{line} is not in\n{text}"
            );
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn prometheus_format_is_the_default() {
        assert_eq!(Format::accepted(""), Format::Prometheus);
        assert_eq!(
            Format::accepted("application/openmetrics-text;version=1.0.0,*/*;q=0.1"),
            Format::OpenMetrics
        );
        let text = write(families(), Format::Prometheus);
        assert!(text.contains("# TYPE a_total counter\n") && !text.contains("# EOF"), "{text}");
    }
}
