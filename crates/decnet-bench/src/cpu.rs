//! CPU time of a process by thread, and of the machine.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use decnet_runtime::procfs::{self, ThreadTime};

/// The CPU time that a process has used so far.
#[derive(Debug, Clone)]
pub struct CpuSample {
    pid: u32,
    machine: f64,
    process: f64,
    /// By thread id.
    threads: BTreeMap<u32, ThreadTime>,
}

/// The CPU time used since a sample, in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct CpuTime {
    /// The time of all programs of the machine.
    pub machine: f64,
    /// The time of the process, including threads that have ended.
    pub process: f64,
    /// The time of each running thread.
    pub threads: Vec<ThreadTime>,
}

impl CpuSample {
    /// Takes a sample of a process.
    ///
    /// # Errors
    /// The process does not exist, or there is no `/proc`.
    pub fn of(pid: u32) -> Result<Self> {
        let process = procfs::process(pid).with_context(|| format!("cannot read /proc/{pid}/stat"))?;
        let (machine, threads) = (procfs::machine_cpu_seconds(), procfs::threads(pid));
        Ok(Self { pid, machine, process: process.cpu_seconds, threads })
    }

    /// Returns the time used since the sample was taken.
    ///
    /// # Errors
    /// The process has ended.
    pub fn elapsed(&self) -> Result<CpuTime> {
        let mut now = Self::of(self.pid)?;
        for (id, thread) in &mut now.threads {
            thread.cpu_seconds -= self.threads.get(id).map_or(0.0, |before| before.cpu_seconds);
        }
        Ok(CpuTime {
            machine: now.machine - self.machine,
            process: now.process - self.process,
            threads: now.threads.into_values().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_sample_includes_a_busy_thread() {
        let sample = CpuSample::of(std::process::id()).unwrap();
        let time = loop {
            let time = sample.elapsed().unwrap();
            if time.process > 0.0 && time.threads.iter().any(|thread| thread.cpu_seconds > 0.0) {
                break time;
            }
        };
        assert!(time.machine >= 0.0);
        assert!(CpuSample::of(u32::MAX).is_err());
    }
}
