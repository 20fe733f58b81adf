//! Seeing the worker run: what it counts, as metrics and as a status, offered on a socket of its own.
//!
//! - [`worker`](mod@worker): what there is to see of a worker;
//! - `families`, `metrics`, `process`: its metrics as values, all in one table;
//! - `text`: the same as Prometheus and OpenMetrics write them;
//! - [`status`]: what `decnet status` shows, as JSON;
//! - [`endpoint`]: who answers, on a thread of its own; `hosts`: the names it answers to; [`client`]: who asks; [`api`]: the page of the API;
//! - [`otlp`]: traces and metrics to a collector.

pub(crate) mod api;
pub(crate) mod client;
pub(crate) mod endpoint;
mod families;
mod hosts;
mod metrics;
pub(crate) mod otlp;
mod process;
pub(crate) mod status;
mod text;
pub(crate) mod worker;
