//! Description and limits of the machine, and the memory of its processes.

use std::fs;

use anyhow::{Context as _, Result};
use decnet_runtime::procfs::{self, Resident};
use rustix::process::{Resource, getrlimit, setrlimit};

/// Returns the processor, the number of cores and the kernel version.
pub(crate) fn describe() -> String {
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cpu = model.map_or("unknown processor", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cpu}, {cores} cores, Linux {}", read("/proc/sys/kernel/osrelease").trim_end())
}

/// Returns the load average over one minute, which shows whether other processes use the machine.
pub(crate) fn load() -> String {
    read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned()
}

/// Returns the resident memory of a process.
pub(crate) fn memory_of(process: u32) -> Result<Resident> {
    procfs::resident(process)
        .with_context(|| format!("cannot read VmRSS and VmHWM in /proc/{process}/status"))
}

/// Raises the soft limit on open files and sockets to the hard limit. Processes started later inherit it.
pub(crate) fn raise_file_limit() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("cannot raise the limit on open files")
}

/// Reads a file; an unreadable file counts as empty, because the description is informative only.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
