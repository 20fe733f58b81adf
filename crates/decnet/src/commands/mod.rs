//! The commands: each module has a command's arguments and its `run` function. [`shared`] has their common helpers.

pub(crate) mod api;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod bus;
pub(crate) mod check;
pub(crate) mod clock;
pub(crate) mod completions;
pub(crate) mod delivery;
pub(crate) mod docs;
pub(crate) mod erase;
pub(crate) mod explain;
pub(crate) mod init;
pub(crate) mod key;
pub(crate) mod publish;
pub(crate) mod receive;
pub(crate) mod restore;
pub(crate) mod serve;
pub(crate) mod shared;
pub(crate) mod status;
pub(crate) mod subscription;
pub(crate) mod token;
pub(crate) mod watch;
pub(crate) mod webhook;
