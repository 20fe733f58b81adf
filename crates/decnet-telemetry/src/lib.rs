//! Observability of the worker: metrics, status and traces, served on a socket of its own.
//!
//! - [`worker`](mod@worker): the observable state of a worker;
//! - `families`, `metrics`, `process`: the metrics as values, in one table;
//! - `text`: the metrics in the formats of Prometheus and OpenMetrics;
//! - [`status`]: the data of `decnet status`, as JSON;
//! - `traffic`: rates, latency and backlog of the last hour and day, sampled from the counters;
//! - [`endpoint`]: the server, on a thread of its own; `hosts`: its accepted host names; [`client`]: its client;
//!   [`api`]: the API's metrics page;
//! - [`otlp`]: traces and metrics to a collector.

pub mod api;
pub mod client;
pub mod endpoint;
mod families;
mod hosts;
mod metrics;
pub mod otlp;
mod process;
pub mod status;
mod text;
mod traffic;
pub mod worker;
