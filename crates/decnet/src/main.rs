//! `decnet`: a durable webhook dispatcher for an event bus.
//!
//! The only crate that reads arguments, environment, settings files and signals. A run parses the arguments ([`cli`]), reads and
//! validates the configuration ([`config`]), starts [`logging`], and runs one of the [`commands`] until it is done or a
//! signal ([`signals`]) stops it. stdout is data, stderr is everything else ([`output`]).

mod cli;
mod commands;
mod config;
mod context;
mod descriptors;
mod failure;
mod json_text;
mod logging;
mod output;
mod process_env;
mod receiver;
mod run;
mod signals;
mod store;
mod supervision;
mod trust;
mod units;
mod worker;

use std::process::ExitCode;

/// The allocator. Event buffers are allocated by the reading thread and freed by the committing thread, which is slow in the C
/// library. mimalloc overrides `malloc`, so SQLite uses it too. Huge pages are off: with them a few threads that allocate little
/// take 2 MiB each.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    match run::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}
