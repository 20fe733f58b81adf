//! Helpers that several commands share.

pub(crate) mod bus_client;
pub(crate) mod confirm;
pub(crate) mod detach;
pub(crate) mod event_args;
pub(crate) mod file_args;
pub(crate) mod progress;
pub(crate) mod receiver_url;
pub(crate) mod secret_args;
pub(crate) mod single_request;
pub(crate) mod test_event;
pub(crate) mod times;
pub(crate) mod trial;
