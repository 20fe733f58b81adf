//! Processes that do not outlive the counting, and waiting for what they do.

use std::ops::{Deref, DerefMut};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// What anything may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(5);

/// A process that is killed when it is dropped.
pub(super) struct Process(Child);

impl Process {
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        Ok(Self(command.spawn().with_context(|| format!("{name} cannot be started"))?))
    }

    /// Waits for it to end well.
    pub(super) fn finish(mut self) -> Result<()> {
        eventually("a process ends", || Ok(self.try_wait()?.is_some()))?;
        let status = self.wait()?;
        ensure!(status.success(), "a process ended with {status}");
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
        // Either may fail only because it has ended already.
        drop((self.0.kill(), self.0.wait()));
    }
}

/// Repeats a step until it is true.
pub(super) fn eventually(what: &str, mut step: impl FnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !step()? {
        ensure!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(POLL);
    }
    Ok(())
}
