//! `decnet`: a durable webhook dispatcher for an event bus.
//!
//! The only place that reads arguments, environment, files and signals. In the order of a run: [`cli`] parses,
//! [`config`] is read and checked as a whole, [`logging`] starts, one of [`commands`] runs until it is done or
//! a signal ([`signals`]) ends it. stdout is data, stderr is everything else ([`output`]).

mod cli;
mod commands;
mod config;
mod context;
mod descriptors;
mod edge;
mod failure;
mod json_text;
mod logging;
mod observe;
mod output;
mod passwd;
mod receiver;
mod run;
mod signals;
mod supervision;
mod trust;
mod units;
mod worker;

use std::process::ExitCode;

/// Allocations cross threads here, from the one that reads to the one that commits: what the C library is slow at.
/// SQLite's go the same way. Without huge pages: with them a few threads that allocate little take 2 MiB each.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    match run::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}
