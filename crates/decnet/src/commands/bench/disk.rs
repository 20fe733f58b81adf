//! What the disk itself takes to make bytes durable.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::figures::Quantiles;

/// Two pages of the queue: about what a small commit writes.
const BLOCK_BYTES: usize = 32 * 1024;
/// Syncs that are timed at most, and for how long at most.
const SYNCS: usize = 500;
const TIME: Duration = Duration::from_secs(1);
/// Even the slowest disk is asked so often.
const LEAST: usize = 5;
/// `TMPFS_MAGIC` and `RAMFS_MAGIC` (statfs(2)): memory, which no sync makes any more durable.
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// The disk below a directory.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Disk {
    /// Is it none, but memory?
    pub(super) in_memory: bool,
    /// `fdatasync` after an append of 32 KiB.
    pub(super) fdatasync: Quantiles,
}

/// Appends and syncs, one after the other.
///
/// # Errors
/// The directory cannot be written to.
pub(super) fn measure(directory: &Path) -> std::io::Result<Disk> {
    #[expect(clippy::cast_sign_loss, reason = "a magic number, whose sign depends on the platform")]
    let magic = rustix::fs::statfs(directory)?.f_type as u64;
    let path = directory.join("fdatasync");
    let (mut file, mut taken, begun) = (File::create(&path)?, Vec::with_capacity(SYNCS), Instant::now());
    let block = vec![b'x'; BLOCK_BYTES];
    while taken.len() < LEAST || (taken.len() < SYNCS && begun.elapsed() < TIME) {
        file.write_all(&block)?;
        let synced = Instant::now();
        file.sync_data()?;
        taken.push(synced.elapsed());
    }
    std::fs::remove_file(path)?;
    Ok(Disk { in_memory: IN_MEMORY.contains(&magic), fdatasync: Quantiles::of(taken) })
}
