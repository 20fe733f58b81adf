//! Metrics in the OTLP format: the same families as for Prometheus, cumulative since the worker's start.

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
use crate::families::{Family, MetricType, Sample, Unit, Value, number};
use crate::metrics;
use crate::worker::WorkerView;

const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

/// The period that the values cover.
#[derive(Debug, Clone, Copy)]
struct Period {
    /// The time at which the counters were zero.
    start: UnixMicros,
    now: UnixMicros,
}

/// Returns the request that exports the current values of all metrics.
pub(super) fn read(view: &WorkerView) -> ExportMetricsServiceRequest {
    let period = Period { start: view.started_at, now: view.clock.wall().max(view.started_at) };
    let families = metrics::families(view);
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

/// Converts a family. The name has neither unit nor `_total`: a collector that exports to Prometheus adds both.
fn metric(family: &Family, period: Period) -> Metric {
    let unit = match family.unit {
        Some(Unit::Seconds) => "s",
        Some(Unit::Bytes) => "By",
        _ => "",
    };
    let data = match family.kind {
        MetricType::Counter => Data::Sum(Sum {
            data_points: numbers(family, nanos(period.start), period),
            aggregation_temporality: CUMULATIVE,
            is_monotonic: true,
        }),
        MetricType::Histogram => Data::Histogram(Histogram {
            data_points: family.samples.iter().filter_map(|sample| histogram(sample, period)).collect(),
            aggregation_temporality: CUMULATIVE,
        }),
        // A gauge has no start.
        _ => Data::Gauge(Gauge { data_points: numbers(family, 0, period) }),
    };
    Metric {
        name: family.name.to_string(),
        description: family.help.into(),
        unit: unit.into(),
        data: Some(data),
        ..Metric::default()
    }
}

fn numbers(family: &Family, start_time_unix_nano: u64, period: Period) -> Vec<NumberDataPoint> {
    let point = |sample: &Sample| {
        let Value::Number(value) = sample.value else { return None };
        Some(NumberDataPoint {
            attributes: attributes(sample),
            start_time_unix_nano,
            time_unix_nano: nanos(period.now),
            value: Some(Number::AsDouble(value)),
            ..NumberDataPoint::default()
        })
    };
    family.samples.iter().filter_map(point).collect()
}

/// Converts a histogram. OTLP's buckets have the same layout: inclusive upper bounds, and one bucket above the last.
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
