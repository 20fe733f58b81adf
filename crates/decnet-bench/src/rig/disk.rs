//! The time that the disk needs to make bytes durable.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::clock::{histogram, micros};
use crate::report::Quantiles;

/// Two pages of the queue: about the size of a small commit.
const BLOCK: usize = 32 * 1024;
/// `TMPFS_MAGIC` (statfs(2)): a file system in memory, where a sync does not make anything durable.
const TMPFS: i64 = 0x0102_1994;

/// Fails if the directory is in memory, where a benchmark of durable deliveries has no meaning.
pub(crate) fn ensure_on_disk(directory: &Path) -> Result<()> {
    if rustix::fs::statfs(directory)?.f_type == TMPFS {
        bail!("{} is in memory (tmpfs); choose a directory on a disk with --data-dir", directory.display());
    }
    Ok(())
}

/// Appends a block and syncs it, `count` times, and returns the quantiles of the sync times.
pub(crate) fn fdatasync(directory: &Path, count: u32) -> Result<Quantiles> {
    let path = directory.join("fdatasync");
    let (mut file, block) = (File::create(&path)?, vec![b'x'; BLOCK]);
    let mut durations = histogram();
    for _ in 0..count {
        file.write_all(&block)?;
        let begun = Instant::now();
        file.sync_data()?;
        durations.saturating_record(micros(begun.elapsed()));
    }
    std::fs::remove_file(path)?;
    let at = |quantile| durations.value_at_quantile(quantile);
    Ok(Quantiles { p50_us: at(0.5), p99_us: at(0.99) })
}
