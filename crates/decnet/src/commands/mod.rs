//! The commands: each module has a command's arguments and its `run` function.
//!
//! `bus_client`, `catalog`, `confirm`, `detach`, `file_args`, `progress`, `secret_args`, `since` and `thread` are shared by several commands.

pub(crate) mod api;

pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod bus;
pub(crate) mod bus_client;
pub(crate) mod catalog;
pub(crate) mod check;
pub(crate) mod clock;
pub(crate) mod completions;
mod confirm;
pub(crate) mod delivery;
pub(crate) mod detach;
pub(crate) mod docs;
pub(crate) mod erase;
pub(crate) mod explain;
mod file_args;
pub(crate) mod init;
pub(crate) mod progress;
pub(crate) mod publish;
pub(crate) mod receive;
pub(crate) mod restore;
pub(crate) mod secret_args;
pub(crate) mod serve;
mod since;
pub(crate) mod status;
pub(crate) mod subscription;
pub(crate) mod thread;
pub(crate) mod token;
pub(crate) mod watch;
pub(crate) mod webhook;
