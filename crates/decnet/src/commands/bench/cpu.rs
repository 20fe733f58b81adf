//! The CPU time of this process by thread, from `/proc` (proc(5): utime and stime, fields 14 and 15).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::rig::OTHER_THREADS;

/// The index of field 14, counted from the state, which is field 3 and the first after the name.
const UTIME: usize = 11;

/// The fields of the first line of `/proc/stat` that are busy time: user, nice, system, irq, softirq and steal.
const BUSY: [usize; 6] = [0, 1, 2, 5, 6, 7];

/// The CPU seconds used so far; empty without `/proc`.
#[derive(Debug, Clone, Default)]
pub(super) struct CpuSample {
    /// By thread id: name and seconds.
    threads: BTreeMap<String, (String, f64)>,
    /// The seconds of all programs of the machine.
    machine: f64,
}

/// The CPU time used between two samples, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct CpuTime {
    /// The time of all programs of the machine.
    pub(super) machine: f64,
    /// The time of all threads of this process.
    pub(super) process: f64,
    /// The time of the worker's threads.
    pub(super) worker: f64,
    /// The time of the busiest of the worker's threads.
    pub(super) busiest: f64,
}

impl CpuSample {
    /// Takes a sample.
    pub(super) fn now() -> Self {
        let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        Self {
            threads: tasks.filter_map(|task| thread(&task.path())).collect(),
            machine: seconds(busy(&stat)),
        }
    }

    /// Returns the CPU time used since this sample, or `None` without `/proc`.
    pub(super) fn elapsed(&self) -> Option<CpuTime> {
        let now = Self::now();
        let machine = now.machine - self.machine;
        let mut time = CpuTime { machine, process: 0.0, worker: 0.0, busiest: 0.0 };
        for (id, (name, seconds)) in &now.threads {
            let seconds = seconds - self.threads.get(id).map_or(0.0, |(_, before)| *before);
            time.process += seconds;
            if !OTHER_THREADS.contains(&name.as_str()) {
                time.worker += seconds;
                time.busiest = time.busiest.max(seconds);
            }
        }
        (!now.threads.is_empty()).then_some(time)
    }
}

/// Reads the CPU time of a thread. `None` if it ends meanwhile.
fn thread(task: &Path) -> Option<(String, (String, f64))> {
    let name = fs::read_to_string(task.join("comm")).ok()?.trim_end().to_owned();
    let ticks = ticks(&fs::read_to_string(task.join("stat")).ok()?)?;
    Some((task.file_name()?.to_str()?.to_owned(), (name, seconds(ticks))))
}

#[expect(clippy::cast_precision_loss, reason = "ticks of a run are far below 2^53")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

fn busy(stat: &str) -> u64 {
    let fields: Vec<u64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_ascii_whitespace()
        .skip(1)
        .flat_map(str::parse)
        .collect();
    BUSY.iter().filter_map(|field| fields.get(*field)).sum()
}

/// Parses the ticks of a thread. Its name, in parentheses, may contain anything, so parsing starts after its end.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().skip(UTIME);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_summed_for_any_name() {
        assert_eq!(ticks("7 (a) b (c)) S 1 7 7 0 -1 4194304 105 0 0 0 12 30 0 0 20 0 1 0 5"), Some(42));
        assert_eq!(ticks("7 (a"), None);
    }

    #[test]
    fn idle_and_iowait_do_not_count_as_busy() {
        assert_eq!(busy("cpu  1 10 100 9999 9999 1000 10000 100000 9 9\ncpu0 1"), 111_111);
        assert_eq!(busy(""), 0);
    }
}
