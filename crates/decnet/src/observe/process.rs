//! Metrics of the process and its disk, read from the kernel.

use std::fs;
use std::path::Path;

use super::families::{Family, Kind, Unit, bytes, gauge, number};

/// Returns the process metrics, under the names that Prometheus's client libraries use.
pub(super) fn families() -> Vec<Family> {
    let mut families = Vec::new();
    if let Some(stat) = Stat::read() {
        let cpu =
            Family::new("process_cpu", "CPU time in user and system mode", Unit::Seconds, Kind::Counter);
        let start = Family::new(
            "process_start_time",
            "Start time of the process, in seconds since 1970",
            Unit::Seconds,
            Kind::Gauge,
        );
        families.extend([
            cpu.with(&[], stat.cpu_seconds),
            start.with(&[], stat.started_at),
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

/// Returns the metrics of the data directory's file system.
pub(super) fn disk(dir: &Path) -> Vec<Family> {
    let Some((size, free)) = disk_bytes(dir) else { return Vec::new() };
    vec![
        bytes("decnet_webhook_disk_size", "Size of the file system that holds the queue", size),
        bytes(
            "decnet_webhook_disk_free",
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

/// The used fields of `/proc/self/stat`; see proc_pid_stat(5).
struct Stat {
    cpu_seconds: f64,
    started_at: f64,
    virtual_bytes: u64,
    resident_bytes: u64,
}

impl Stat {
    fn read() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        // The process name, in parentheses, may contain anything; fields 3 and later follow it.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let ticks = number(rustix::param::clock_ticks_per_second());
        Some(Self {
            cpu_seconds: number(field(14)? + field(15)?) / ticks,
            started_at: boot_time()? + number(field(22)?) / ticks,
            virtual_bytes: field(23)?,
            resident_bytes: field(24)?.saturating_mul(rustix::param::page_size() as u64),
        })
    }
}

/// Returns the boot time of the machine, in seconds since 1970.
fn boot_time() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_has_used_memory_and_started_in_the_past() {
        let stat = Stat::read().unwrap();
        assert!(stat.resident_bytes > 100_000 && stat.virtual_bytes >= stat.resident_bytes);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        assert!(stat.started_at > 1e9 && stat.started_at < now + 2.0, "{}", stat.started_at);
        assert!(disk_bytes(Path::new("/")).is_some_and(|(size, free)| free <= size));
    }
}
