//! The processes of a measurement, the load on them, and the values read from them.

pub(crate) mod drive;
pub(crate) mod machine;
mod pipeline;
mod process;
mod viewers;

pub(crate) use drive::{LoadResult, drive};
pub(crate) use pipeline::{Environment, Pipeline, SubscriptionSpec, concurrency, signal};
pub(crate) use process::Process;
pub(crate) use viewers::Viewers;
