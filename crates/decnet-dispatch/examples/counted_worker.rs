//! The worker with its allocations counted, for `cargo xtask cost`: `counted_worker DATA_DIR SOCKET`.
//!
//! Answers each line on stdin with one on stdout: deliveries made, allocations made (a reallocation is one), bytes
//! allocated. Ends with stdin. SQLite's own memory is not counted.

use std::alloc::System;
use std::error::Error;
use std::io::{BufRead as _, Write as _, stdin, stdout};
use std::path::Path;
use std::sync::Arc;

use decnet_bus::{LOSSLESS_CLIENT_NAME, Source};
use decnet_dispatch::{Options, Stats, Worker};
use decnet_sender::{self as sender, EgressGuard};
use decnet_store::catalog::{Catalog, Create};
use decnet_store::queue::{self, Queue};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Requests in flight to one subscription, as in the other measurements of a delivery.
const CONCURRENCY: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(dir), Some(socket)) = (arguments.next(), arguments.next()) else {
        return Err("usage: counted_worker DATA_DIR SOCKET".into());
    };
    let worker = worker(Path::new(&dir), &socket)?;
    let (stats, stop) = (Arc::clone(&worker.stats), CancellationToken::new());
    let stopped = stop.clone();
    std::thread::spawn(move || {
        let answered = answer(&stats);
        stop.cancel();
        answered
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(LocalSet::new().block_on(&runtime, worker.run(stopped))?)
}

fn worker(dir: &Path, socket: &str) -> Result<Worker, Box<dyn Error>> {
    let guard = EgressGuard::new(false, vec!["127.0.0.0/8".parse()?]);
    Ok(Worker {
        options: Options {
            concurrency: CONCURRENCY,
            sender: sender::Options { guard, ..sender::Options::default() },
            ..Options::default()
        },
        queue: Queue::open(dir, queue::Options::default())?,
        catalog: Catalog::open(&dir.join("decnet.db"), Create::Never)?,
        source: Some(Source::new(socket, LOSSLESS_CLIENT_NAME)),
        stats: Arc::default(),
        nudge: Arc::default(),
    })
}

fn answer(stats: &Stats) -> std::io::Result<()> {
    for line in stdin().lock().lines() {
        line?;
        let counted = ALLOCATOR.stats();
        let (made, bytes) = (counted.allocations + counted.reallocations, counted.bytes_allocated);
        writeln!(stdout(), "{} {made} {bytes}", stats.delivered.get())?;
    }
    Ok(())
}
