//! Bounds of the export to an OpenTelemetry collector.

use std::time::Duration;

/// Maximum number of spans that wait for export; further ones are dropped and counted.
pub const MAX_UNEXPORTED_SPANS: usize = 16_384;
/// Maximum number of spans in one export; when as many wait, it begins at once.
pub const MAX_EXPORT_SPANS: usize = 2048;
/// Time for which spans wait to be exported together. Short enough that the buffer does not fill at full speed.
pub const EXPORT_INTERVAL: Duration = Duration::from_millis(50);
/// Time between two exports of metrics: often enough for alerts, without loading a collector.
pub const METRICS_EXPORT_INTERVAL: Duration = Duration::from_secs(30);
/// Timeout of one export.
pub const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of everything that is left to export after the worker's end, including an export in progress.
pub const FINAL_EXPORT_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum size of a collector's reply, in bytes; an OTLP reply is a number and at most a sentence.
pub const MAX_EXPORT_REPLY_BYTES: usize = 64 * 1024;

const _: () = assert!(2 * MAX_EXPORT_SPANS <= MAX_UNEXPORTED_SPANS);
