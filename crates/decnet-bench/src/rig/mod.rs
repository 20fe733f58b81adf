//! The processes of a measurement, and what is read off them.

pub(crate) mod cpu;
pub(crate) mod disk;
pub(crate) mod machine;
mod pipeline;
mod process;
pub(crate) mod publisher;
mod receiver;

pub(crate) use pipeline::{Pipeline, Setup};
pub(crate) use process::Process;
pub(crate) use receiver::Receiver;
