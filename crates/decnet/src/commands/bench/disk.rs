//! The measurement of the disk: how long it takes to make bytes durable.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::figures::Quantiles;

/// The bytes of an append: about what a small commit of the queue writes.
const BLOCK_BYTES: usize = 32 * 1024;
/// The maximum number of measured syncs.
const MAX_SYNCS: usize = 500;
/// The maximum duration of the measurement, once there are [`MIN_SYNCS`].
const MAX_TIME: Duration = Duration::from_secs(1);
/// The minimum number of measured syncs, even on a slow disk.
const MIN_SYNCS: usize = 5;
/// `TMPFS_MAGIC` and `RAMFS_MAGIC` (statfs(2)): file systems in memory, where a sync makes nothing durable.
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// The disk of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Disk {
    /// Whether the file system is in memory, not on a disk.
    pub(super) in_memory: bool,
    /// The duration of `fdatasync` after an append of 32 KiB.
    pub(super) fdatasync: Quantiles,
}

/// Measures syncs after appends, one at a time.
///
/// # Errors
/// The directory cannot be written.
pub(super) fn measure(directory: &Path) -> std::io::Result<Disk> {
    #[expect(clippy::cast_sign_loss, reason = "a magic number, whose sign depends on the platform")]
    let magic = rustix::fs::statfs(directory)?.f_type as u64;
    let path = directory.join("fdatasync");
    let (mut file, mut taken, begun) = (File::create(&path)?, Vec::with_capacity(MAX_SYNCS), Instant::now());
    let block = vec![b'x'; BLOCK_BYTES];
    while taken.len() < MIN_SYNCS || (taken.len() < MAX_SYNCS && begun.elapsed() < MAX_TIME) {
        file.write_all(&block)?;
        let synced = Instant::now();
        file.sync_data()?;
        taken.push(synced.elapsed());
    }
    std::fs::remove_file(path)?;
    Ok(Disk { in_memory: IN_MEMORY.contains(&magic), fdatasync: Quantiles::of(taken) })
}
