//! Metrics of the process and its disk, read from the kernel.

use std::fs;
use std::path::Path;

use decnet_runtime::procfs;

use super::families::{Family, Unit, bytes, gauge};

/// Returns the process metrics, under the names that Prometheus's client libraries use.
pub(super) fn families() -> Vec<Family> {
    let mut families = Vec::new();
    if let Some((stat, boot_time)) = procfs::process(std::process::id()).zip(procfs::boot_time()) {
        let cpu = Family::counter("process_cpu", "CPU time in user and system mode");
        let start = Family::gauge("process_start_time", "Start time of the process, in seconds since 1970");
        families.extend([
            cpu.unit(Unit::Seconds).with(&[], stat.cpu_seconds),
            start.unit(Unit::Seconds).with(&[], boot_time + stat.started_after_boot),
            bytes("process_resident_memory", "Resident memory", stat.resident_bytes),
            bytes("process_virtual_memory", "Virtual memory", stat.virtual_bytes),
        ]);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        families.push(gauge("process_open_fds", "Open file descriptors", open.count() as u64));
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    families.extend(
        limit.map(|limit| gauge("process_max_fds", "Maximum number of open file descriptors", limit)),
    );
    families
}

/// Returns the metrics of the data directory's file system, without the namespace.
pub(super) fn disk(dir: &Path) -> Vec<Family> {
    let Some((size, free)) = disk_bytes(dir) else { return Vec::new() };
    vec![
        bytes("disk_size", "Size of the file system that holds the queue", size),
        bytes(
            "disk_free",
            "Free space on the file system that holds the queue, available to the worker",
            free,
        ),
    ]
}

/// Returns the size of a file system and its free space, in bytes.
pub(super) fn disk_bytes(dir: &Path) -> Option<(u64, u64)> {
    let found = rustix::fs::statvfs(dir).ok()?;
    Some((found.f_blocks.saturating_mul(found.f_frsize), found.f_bavail.saturating_mul(found.f_frsize)))
}

/// Returns the size of a file in bytes; 0 if it cannot be read.
pub(super) fn file_bytes(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_at_most_the_size() {
        assert!(disk_bytes(Path::new("/")).is_some_and(|(size, free)| free <= size));
    }
}
