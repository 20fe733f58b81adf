//! Child processes that end with the benchmark.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// Number of processes started so far, which gives each log a unique name.
static STARTED: AtomicU64 = AtomicU64::new(0);
/// Interval at which a process is polled for its exit.
const POLL: Duration = Duration::from_millis(5);
/// Bytes of the log that an error message contains.
const LOG_TAIL_BYTES: usize = 2000;

/// A running process that is killed when it is dropped. Its stderr goes to a file.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its log in `directory`.
    pub(crate) fn start(name: &'static str, command: &mut Command, directory: &Path) -> Result<Self> {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let log = directory.join(format!("{name}-{number}.log"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, child, log })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills the process and waits for its end.
    pub(crate) fn kill(&mut self) {
        // Each call fails only if the process has already ended.
        drop((self.child.kill(), self.child.wait()));
    }

    /// Waits for the first line on stdout and returns it.
    pub(crate) fn first_line(&mut self) -> Result<String> {
        let stdout = self.child.stdout.take().context("stdout was already read")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(!line.is_empty(), "{} printed nothing: {}", self.name, self.log_tail());
        Ok(line.trim_end().to_owned())
    }

    /// Fails if the process has ended.
    pub(crate) fn ensure_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} exited ({status}): {}", self.name, self.log_tail()),
        }
    }

    /// Waits until the process exits and returns the first line of its output.
    pub(crate) async fn finish(mut self, within: Duration) -> Result<String> {
        let begun = Instant::now();
        let status = loop {
            match self.child.try_wait()? {
                Some(status) => break status,
                None if begun.elapsed() > within => bail!("{} did not exit within {within:?}", self.name),
                None => tokio::time::sleep(POLL).await,
            }
        };
        ensure!(status.success(), "{} failed ({status}): {}", self.name, self.log_tail());
        self.first_line()
    }

    fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_TAIL_BYTES)..]).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
