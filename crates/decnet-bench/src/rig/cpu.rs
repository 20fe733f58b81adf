//! CPU time of processes and threads, from `/proc` (proc(5): utime and stime, fields 14 and 15).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Index of field 14, counted from the state (field 3), which is the first field after the name.
const UTIME: usize = 11;

/// Returns the CPU seconds, user and system, that a process has used in all its threads.
pub(crate) fn of(process: u32) -> Result<f64> {
    seconds(Path::new(&format!("/proc/{process}/stat")))
}

/// Returns the CPU seconds of this process.
pub(crate) fn of_this_process() -> Result<f64> {
    of(std::process::id())
}

/// Returns the CPU seconds of a process by thread name.
pub(crate) fn of_threads(process: u32) -> Result<BTreeMap<String, f64>> {
    let mut threads = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        let task = task?.path();
        // A thread may end between the two reads.
        if let (Ok(name), Ok(used)) = (fs::read_to_string(task.join("comm")), seconds(&task.join("stat"))) {
            *threads.entry(name.trim_end().to_owned()).or_default() += used;
        }
    }
    Ok(threads)
}

fn seconds(stat: &Path) -> Result<f64> {
    let text = fs::read_to_string(stat).with_context(|| format!("cannot read {}", stat.display()))?;
    let ticks = ticks(&text).with_context(|| format!("unexpected format of {}", stat.display()))?;
    #[expect(clippy::cast_precision_loss, reason = "ticks of a run are far below 2^53")]
    let seconds = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    Ok(seconds)
}

/// Parses the CPU ticks. The name is in parentheses and may contain any characters, so parsing starts after
/// the last one.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().skip(UTIME);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_added_for_any_name() {
        assert_eq!(ticks("7 (a) b (c)) S 1 7 7 0 -1 4194304 105 0 0 0 12 30 0 0 20 0 1 0 5"), Some(42));
        assert_eq!(ticks("7 (a"), None);
    }
}
