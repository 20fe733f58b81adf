//! Memory of a process, from `/proc/<pid>/status` (proc(5)).

use std::fs;

use anyhow::{Context as _, Result};

/// Resident memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resident {
    pub(crate) now: u64,
    /// The highest value so far.
    pub(crate) peak: u64,
}

pub(crate) fn of(process: u32) -> Result<Resident> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    resident(&status).context("VmRSS or VmHWM is missing in /proc/<pid>/status")
}

fn resident(status: &str) -> Option<Resident> {
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
    };
    Some(Resident { now: bytes("VmRSS")?, peak: bytes("VmHWM")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn current_and_peak_memory_are_parsed() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(resident(status), Some(Resident { now: 1 << 20, peak: 2 << 20 }));
        assert_eq!(resident("Name:\tx\n"), None);
    }
}
