//! Child processes that end with the count, and waiting for conditions.

use std::ops::{Deref, DerefMut};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// Maximum wait for anything on a slow machine.
const TIMEOUT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(5);

/// A process that is killed when it is dropped.
pub(super) struct Process(Child);

impl Process {
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        Ok(Self(command.spawn().with_context(|| format!("cannot start {name}"))?))
    }

    /// Waits until the process exits with success.
    pub(super) fn finish(mut self) -> Result<()> {
        eventually("a process ends", || Ok(self.try_wait()?.is_some()))?;
        let status = self.wait()?;
        ensure!(status.success(), "a process exited with {status}");
        Ok(())
    }
}

impl Deref for Process {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
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
