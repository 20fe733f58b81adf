//! Child processes that end with the count, and waiting for conditions.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// Maximum wait for a condition, even on a slow machine.
const TIMEOUT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(5);

/// A process that is killed when it is dropped.
pub(super) struct Process(pub(super) Child);

impl Process {
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        Ok(Self(command.spawn().with_context(|| format!("cannot start {name}"))?))
    }

    /// Waits until the process exits with success.
    pub(super) fn finish(mut self) -> Result<()> {
        eventually("a process ends", || Ok(self.0.try_wait()?.is_some()))?;
        let status = self.0.wait()?;
        ensure!(status.success(), "a process exited with {status}");
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Each call fails only if the process has already ended.
        drop((self.0.kill(), self.0.wait()));
    }
}

/// Repeats a step until it returns true.
pub(super) fn eventually(what: &str, mut step: impl FnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !step()? {
        ensure!(begun.elapsed() < TIMEOUT, "timeout after {TIMEOUT:?}: {what}");
        std::thread::sleep(POLL);
    }
    Ok(())
}
