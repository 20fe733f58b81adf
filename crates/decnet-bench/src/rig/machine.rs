//! What the figures were measured on.

use std::fs;

/// The machine, as the kernel describes it.
pub(crate) fn describe() -> String {
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cpu = model.map_or("unknown processor", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cpu}, {cores} cores, Linux {}", read("/proc/sys/kernel/osrelease").trim_end())
}

/// Load average over one minute: who else is using the machine.
pub(crate) fn load() -> String {
    read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned()
}

/// What the kernel does not say stays empty: it is for people to read.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
