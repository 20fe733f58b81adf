//! The processes of a measurement, the load on them, and the values read from them.

pub(crate) mod bare_sender;
pub(crate) mod cpu;
pub(crate) mod disk;
pub(crate) mod drive;
pub(crate) mod files;
pub(crate) mod machine;
pub(crate) mod memory;
mod pipeline;
mod process;
pub(crate) mod publisher;
mod receiver;
mod subscriptions;

pub(crate) use drive::{Load, LoadResult, drive};
pub(crate) use pipeline::{Environment, Pipeline, Setup, concurrency, signal};
pub(crate) use process::Process;
pub(crate) use receiver::Receiver;
pub(crate) use subscriptions::SubscriptionSpec;
