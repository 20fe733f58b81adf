//! The parts that run in processes of their own.

pub(crate) mod bare_sender;
pub(crate) mod receiver;
pub(crate) mod router;
pub(crate) mod tls;
