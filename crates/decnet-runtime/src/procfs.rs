//! CPU time and memory of processes and threads, from `/proc` (proc(5)).

use std::collections::BTreeMap;
use std::fs;

/// The indexes of the fields of the first line of `/proc/stat` that count as busy time: user, nice, system, irq, softirq and
/// steal.
const BUSY: [usize; 6] = [0, 1, 2, 5, 6, 7];

/// The fields of `/proc/PID/stat` that this program uses; see proc_pid_stat(5).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProcessStat {
    /// CPU time in user and system mode, in seconds.
    pub cpu_seconds: f64,
    /// The start time in seconds since the boot.
    pub started_after_boot: f64,
    /// The size of the address space, in bytes.
    pub virtual_bytes: u64,
    /// Resident memory, in bytes.
    pub resident_bytes: u64,
}

/// A thread of a process.
#[derive(Debug, Clone, PartialEq)]
pub struct ThreadTime {
    /// The name, at most 15 bytes.
    pub name: String,
    /// CPU time in user and system mode, in seconds.
    pub cpu_seconds: f64,
}

/// Resident memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resident {
    /// The current value.
    pub now: u64,
    /// The highest value so far.
    pub peak: u64,
}

/// Returns the state of a process; `None` if it does not exist.
#[must_use]
pub fn process(pid: u32) -> Option<ProcessStat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Returns the threads of a process by id. Threads that end during the call are omitted. Without `/proc` the map is empty.
#[must_use]
pub fn threads(pid: u32) -> BTreeMap<u32, ThreadTime> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks
        .filter_map(|task| {
            let name = fs::read_to_string(task.path().join("comm")).ok()?.trim_end().to_owned();
            let stat = parse_stat(&fs::read_to_string(task.path().join("stat")).ok()?)?;
            let id = task.file_name().to_str()?.parse().ok()?;
            Some((id, ThreadTime { name, cpu_seconds: stat.cpu_seconds }))
        })
        .collect()
}

/// Returns the resident memory of a process; `None` if it does not exist.
#[must_use]
pub fn resident(pid: u32) -> Option<Resident> {
    parse_resident(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

/// Returns the CPU time of all processes of the machine, in seconds; 0 without `/proc`.
#[must_use]
pub fn machine_cpu_seconds() -> f64 {
    seconds(parse_busy(&fs::read_to_string("/proc/stat").unwrap_or_default()))
}

/// Returns the boot time of the machine, in seconds since 1970.
#[must_use]
pub fn boot_time() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[expect(clippy::cast_precision_loss, reason = "ticks are far below 2^53")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

fn parse_stat(text: &str) -> Option<ProcessStat> {
    // The process name, in parentheses, may contain anything; fields 3 and later follow it.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(ProcessStat {
        cpu_seconds: seconds(field(14)? + field(15)?),
        started_after_boot: seconds(field(22)?),
        virtual_bytes: field(23)?,
        resident_bytes: field(24)?.saturating_mul(rustix::param::page_size() as u64),
    })
}

fn parse_resident(status: &str) -> Option<Resident> {
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
    };
    Some(Resident { now: bytes("VmRSS")?, peak: bytes("VmHWM")? })
}

fn parse_busy(stat: &str) -> u64 {
    let first = stat.lines().next().unwrap_or_default();
    let fields: Vec<u64> = first.split_ascii_whitespace().skip(1).flat_map(str::parse).collect();
    BUSY.iter().filter_map(|field| fields.get(*field)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_may_contain_anything() {
        let stat =
            parse_stat("7 (a) b (c)) S 1 7 7 0 -1 4194304 105 0 0 0 12 30 0 0 20 0 1 0 500 4096 2").unwrap();
        assert_eq!((stat.cpu_seconds, stat.started_after_boot), (seconds(42), seconds(500)));
        assert_eq!((stat.virtual_bytes, stat.resident_bytes), (4096, 2 * rustix::param::page_size() as u64));
        assert_eq!(parse_stat("7 (a"), None);
    }

    #[test]
    fn idle_and_iowait_do_not_count_as_busy() {
        assert_eq!(parse_busy("cpu  1 10 100 9999 9999 1000 10000 100000 9 9\ncpu0 1"), 111_111);
        assert_eq!(parse_busy(""), 0);
    }

    #[test]
    fn current_and_peak_memory_are_parsed() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(parse_resident(status), Some(Resident { now: 1 << 20, peak: 2 << 20 }));
        assert_eq!(parse_resident("Name:\tx\n"), None);
    }

    #[test]
    fn this_process_is_found_in_procfs() {
        let pid = std::process::id();
        let stat = process(pid).unwrap();
        assert!(stat.resident_bytes > 100_000 && stat.virtual_bytes >= stat.resident_bytes);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let started = boot_time().unwrap() + stat.started_after_boot;
        assert!(started > 1e9 && started < now + 2.0, "{started}");
        assert!(threads(pid).contains_key(&pid) && resident(pid).unwrap().now > 100_000);
        assert!(machine_cpu_seconds() > 0.0);
    }
}
