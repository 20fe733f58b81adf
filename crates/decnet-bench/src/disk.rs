//! The time that a disk takes to make bytes durable.

use std::fs::File;
use std::io::{Result, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::quantiles::Quantiles;

/// The bytes of an append: two pages of the queue, about what a small commit writes.
const BLOCK_BYTES: usize = 32 * 1024;
/// The minimum number of measured syncs, even on a slow disk.
const MIN_SYNCS: usize = 5;
/// `TMPFS_MAGIC` and `RAMFS_MAGIC` (statfs(2)): file systems in memory, where a sync makes nothing durable.
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// The disk of a directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Disk {
    /// Whether the file system is in memory, not on a disk.
    pub in_memory: bool,
    /// The duration of `fdatasync` after an append of 32 KiB.
    pub fdatasync: Quantiles,
}

/// Returns whether the file system of a directory is in memory.
///
/// # Errors
/// The directory does not exist.
pub fn is_in_memory(directory: &Path) -> Result<bool> {
    #[expect(clippy::cast_sign_loss, reason = "a magic number, whose sign depends on the platform")]
    let magic = rustix::fs::statfs(directory)?.f_type as u64;
    Ok(IN_MEMORY.contains(&magic))
}

/// Measures up to `max_syncs` syncs after appends, one at a time, for about `max_time`.
///
/// # Errors
/// The directory cannot be written.
pub fn measure(directory: &Path, max_syncs: usize, max_time: Duration) -> Result<Disk> {
    let path = directory.join("fdatasync");
    let (mut file, mut taken, begun) = (File::create(&path)?, Vec::with_capacity(max_syncs), Instant::now());
    let block = vec![b'x'; BLOCK_BYTES];
    while taken.len() < MIN_SYNCS || (taken.len() < max_syncs && begun.elapsed() < max_time) {
        file.write_all(&block)?;
        let synced = Instant::now();
        file.sync_data()?;
        taken.push(synced.elapsed());
    }
    std::fs::remove_file(path)?;
    Ok(Disk { in_memory: is_in_memory(directory)?, fdatasync: Quantiles::of(taken) })
}
