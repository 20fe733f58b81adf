//! Metrics as OTLP writes them: the families that Prometheus reads, cumulative since the worker's start.

use decnet_core::time::UnixMicros;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum,
};

use super::common::{nanos, resource, scope, text};
use crate::observe::families::{Family, Kind, Sample, Unit, Value, number};
use crate::observe::metrics;
use crate::observe::worker::Seen;

const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

/// The time that numbers are about.
#[derive(Debug, Clone, Copy)]
struct Period {
    /// When the counters were zero.
    start: UnixMicros,
    now: UnixMicros,
}

/// The request that exports all of them as they are now.
pub(super) fn read(seen: &Seen) -> ExportMetricsServiceRequest {
    let period = Period { start: seen.started_at, now: seen.clock.wall().max(seen.started_at) };
    let families = metrics::families(seen);
    // A metric without points is not valid.
    let families = families.iter().filter(|family| !family.samples.is_empty());
    let metrics = families.map(|family| metric(family, period)).collect();
    let scope_metrics = ScopeMetrics { scope: Some(scope()), metrics, ..ScopeMetrics::default() };
    let metrics = ResourceMetrics {
        resource: Some(resource()),
        scope_metrics: vec![scope_metrics],
        ..ResourceMetrics::default()
    };
    ExportMetricsServiceRequest { resource_metrics: vec![metrics] }
}

/// Its name has neither unit nor `_total`: a collector that offers it to Prometheus adds both.
fn metric(family: &Family, period: Period) -> Metric {
    let unit = match family.unit {
        Unit::None => "",
        Unit::Seconds => "s",
        Unit::Bytes => "By",
    };
    let data = match family.kind {
        Kind::Counter => Data::Sum(Sum {
            data_points: numbers(&family.samples, period),
            aggregation_temporality: CUMULATIVE,
            is_monotonic: true,
        }),
        Kind::Gauge => Data::Gauge(Gauge { data_points: numbers(&family.samples, period) }),
        Kind::Histogram => Data::Histogram(Histogram {
            data_points: family.samples.iter().filter_map(|sample| histogram(sample, period)).collect(),
            aggregation_temporality: CUMULATIVE,
        }),
    };
    Metric {
        name: family.name.into(),
        description: family.help.into(),
        unit: unit.into(),
        data: Some(data),
        ..Metric::default()
    }
}

fn numbers(samples: &[Sample], period: Period) -> Vec<NumberDataPoint> {
    samples.iter().filter_map(|sample| number_point(sample, period)).collect()
}

fn number_point(sample: &Sample, period: Period) -> Option<NumberDataPoint> {
    let (value, start) = match sample.value {
        Value::Counter(value) => (value, nanos(period.start)),
        // A gauge has no start.
        Value::Gauge(value) => (value, 0),
        Value::Histogram { .. } => return None,
    };
    Some(NumberDataPoint {
        attributes: attributes(sample),
        start_time_unix_nano: start,
        time_unix_nano: nanos(period.now),
        value: Some(Number::AsDouble(value)),
        ..NumberDataPoint::default()
    })
}

/// OTLP's buckets are ours: each with its upper bound, which it includes, and one behind the last.
fn histogram(sample: &Sample, period: Period) -> Option<HistogramDataPoint> {
    let Value::Histogram { distribution, per_unit } = &sample.value else { return None };
    Some(HistogramDataPoint {
        attributes: attributes(sample),
        start_time_unix_nano: nanos(period.start),
        time_unix_nano: nanos(period.now),
        count: distribution.total(),
        sum: Some(number(distribution.sum) / per_unit),
        bucket_counts: distribution.counts.clone(),
        explicit_bounds: distribution.bounds.iter().map(|bound| number(*bound) / per_unit).collect(),
        ..HistogramDataPoint::default()
    })
}

fn attributes(sample: &Sample) -> Vec<KeyValue> {
    sample.labels.iter().map(|(name, value)| text(name, value)).collect()
}
