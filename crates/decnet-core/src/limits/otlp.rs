//! Bounds of the export to an OpenTelemetry collector.

use std::time::Duration;

/// Maximum number of spans that wait for export; further spans are dropped and counted.
pub const MAX_UNEXPORTED_SPANS: usize = 16_384;
/// Maximum number of spans in one export. When this many spans wait, the export begins at once.
pub const MAX_EXPORT_SPANS: usize = 2048;
/// Time for which spans wait to be exported together. Short enough that the buffer does not fill at full speed.
pub const EXPORT_INTERVAL: Duration = Duration::from_millis(50);
/// Time between two exports of metrics: often enough for alerts, without loading a collector.
pub const METRICS_EXPORT_INTERVAL: Duration = Duration::from_secs(30);
/// Timeout of one export.
pub const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout for exporting everything that is left after the worker has ended, including an export in progress.
pub const FINAL_EXPORT_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum size of a collector's reply, in bytes; an OTLP reply contains a number and at most one sentence.
pub const MAX_EXPORT_REPLY_BYTES: usize = 64 * 1024;

const _: () = assert!(2 * MAX_EXPORT_SPANS <= MAX_UNEXPORTED_SPANS);
