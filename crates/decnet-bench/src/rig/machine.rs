//! Description of the machine.

use std::fs;

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

/// Reads a file; an unreadable one gives an empty text, because the description is informative only.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
