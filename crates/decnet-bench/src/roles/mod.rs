//! What runs in a process of its own.

pub(crate) mod bare_sender;
pub(crate) mod receiver;
pub(crate) mod router;
pub(crate) mod tls;
