//! What the disk itself takes to make bytes durable.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::clock::{histogram, micros};
use crate::report::Quantiles;

/// Two pages of the queue: about what a small commit writes.
const BLOCK: usize = 32 * 1024;
/// `TMPFS_MAGIC` (statfs(2)): memory, which no sync makes any more durable.
const TMPFS: i64 = 0x0102_1994;

/// Refuses a directory in memory: its figures would say nothing about durable deliveries.
pub(crate) fn must_be_a_disk(directory: &Path) -> Result<()> {
    if rustix::fs::statfs(directory)?.f_type == TMPFS {
        bail!("{} is in memory (tmpfs); name a directory on a disk with --data-dir", directory.display());
    }
    Ok(())
}

/// Appends and syncs so often, one after the other.
pub(crate) fn fdatasync(directory: &Path, times: u32) -> Result<Quantiles> {
    let path = directory.join("fdatasync");
    let (mut file, block) = (File::create(&path)?, vec![b'x'; BLOCK]);
    let mut taken = histogram();
    for _ in 0..times {
        file.write_all(&block)?;
        let begun = Instant::now();
        file.sync_data()?;
        taken.saturating_record(micros(begun.elapsed()));
    }
    std::fs::remove_file(path)?;
    let at = |quantile| taken.value_at_quantile(quantile);
    Ok(Quantiles { p50_us: at(0.5), p99_us: at(0.99) })
}
