//! One command a module: its arguments, and `run`.

pub(crate) mod api;
pub(crate) mod background;
pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod bus;
pub(crate) mod catalog;
pub(crate) mod check;
pub(crate) mod completions;
mod confirm;
pub(crate) mod delivery;
pub(crate) mod docs;
pub(crate) mod erase;
pub(crate) mod explain;
pub(crate) mod init;
pub(crate) mod link;
pub(crate) mod progress;
pub(crate) mod publish;
pub(crate) mod receive;
pub(crate) mod restore;
pub(crate) mod secret_args;
pub(crate) mod serve;
mod since;
pub(crate) mod status;
pub(crate) mod subscription;
pub(crate) mod token;
pub(crate) mod watch;
pub(crate) mod webhook;
