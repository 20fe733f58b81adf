//! Helpers that several commands share.

pub(crate) mod bus_client;
pub(crate) mod confirm;
pub(crate) mod detach;
pub(crate) mod file_args;
pub(crate) mod progress;
pub(crate) mod secret_args;
pub(crate) mod test_event;
pub(crate) mod times;
