//! Bounds of what goes to an OpenTelemetry collector.

use std::time::Duration;

/// Spans that wait for the trace collector; further ones are left out, and counted.
pub const MAX_UNEXPORTED_SPANS: usize = 16_384;
/// Spans of one export; where as many wait, it begins at once.
pub const MAX_EXPORT_SPANS: usize = 2048;
/// How long spans wait for others, to be exported together: so short that at full speed they find room meanwhile.
pub const EXPORT_INTERVAL: Duration = Duration::from_millis(50);
/// Between two exports of metrics: often enough for an alert, and no load to a collector.
pub const METRICS_EXPORT_INTERVAL: Duration = Duration::from_secs(30);
/// What the collector gets for one export.
pub const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// What it gets for all that is left when the worker has ended, with the export that is under way.
pub const LAST_EXPORT_TIMEOUT: Duration = Duration::from_secs(1);
/// What is read of its reply, in bytes; an OTLP reply is a number and a sentence at most.
pub const MAX_EXPORT_REPLY_BYTES: usize = 64 * 1024;

const _: () = assert!(2 * MAX_EXPORT_SPANS <= MAX_UNEXPORTED_SPANS);
