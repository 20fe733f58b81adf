//! CPU time of this process by thread, from `/proc` (proc(5): utime and stime, fields 14 and 15).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::rig::BESIDE_THE_WORKER;

/// Field 14, counted from the state, which is field 3 and the first after the name.
const UTIME: usize = 11;

/// Fields of the first line of `/proc/stat` that are work: user, nice, system, then irq, softirq and steal.
const WORKING: [usize; 6] = [0, 1, 2, 5, 6, 7];

/// CPU seconds used so far; empty where there is no `/proc`.
#[derive(Debug, Clone, Default)]
pub(super) struct Used {
    /// By thread, with its name.
    threads: BTreeMap<String, (String, f64)>,
    /// By all programs of the machine.
    machine: f64,
}

/// What was used between two looks, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spent {
    /// By all programs of the machine.
    pub(super) machine: f64,
    /// By all threads of this one.
    pub(super) all: f64,
    /// By the worker's threads.
    pub(super) worker: f64,
    /// By the busiest of the worker's threads.
    pub(super) busiest: f64,
}

impl Used {
    /// Looks now.
    pub(super) fn so_far() -> Self {
        let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        Self {
            threads: tasks.filter_map(|task| thread(&task.path())).collect(),
            machine: seconds(working(&stat)),
        }
    }

    /// What was used since; `None` where it cannot be known.
    pub(super) fn until_now(&self) -> Option<Spent> {
        let now = Self::so_far();
        let mut spent = Spent { machine: now.machine - self.machine, all: 0.0, worker: 0.0, busiest: 0.0 };
        for (id, (name, seconds)) in &now.threads {
            let seconds = seconds - self.threads.get(id).map_or(0.0, |(_, before)| *before);
            spent.all += seconds;
            if !BESIDE_THE_WORKER.contains(&name.as_str()) {
                spent.worker += seconds;
                spent.busiest = spent.busiest.max(seconds);
            }
        }
        (!now.threads.is_empty()).then_some(spent)
    }
}

/// A thread may end between two reads: then it is left out.
fn thread(task: &Path) -> Option<(String, (String, f64))> {
    let name = fs::read_to_string(task.join("comm")).ok()?.trim_end().to_owned();
    let ticks = ticks(&fs::read_to_string(task.join("stat")).ok()?)?;
    Some((task.file_name()?.to_str()?.to_owned(), (name, seconds(ticks))))
}

#[expect(clippy::cast_precision_loss, reason = "ticks of a run are far below 2^53")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

fn working(stat: &str) -> u64 {
    let fields: Vec<u64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_ascii_whitespace()
        .skip(1)
        .flat_map(str::parse)
        .collect();
    WORKING.iter().filter_map(|field| fields.get(*field)).sum()
}

/// The name, in parentheses, may hold anything: what counts comes after its end.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().skip(UTIME);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_added_whatever_the_name() {
        assert_eq!(ticks("7 (a) b (c)) S 1 7 7 0 -1 4194304 105 0 0 0 12 30 0 0 20 0 1 0 5"), Some(42));
        assert_eq!(ticks("7 (a"), None);
    }

    #[test]
    fn idling_and_waiting_for_disks_are_no_work() {
        assert_eq!(working("cpu  1 10 100 9999 9999 1000 10000 100000 9 9\ncpu0 1"), 111_111);
        assert_eq!(working(""), 0);
    }
}
