//! A process that does not outlive the benchmark.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Processes so far: each has a log of its own.
static STARTED: AtomicU64 = AtomicU64::new(0);
/// How often a process is asked whether it has ended.
const POLL: Duration = Duration::from_millis(5);
/// Bytes of its log that are shown when it fails.
const SHOWN: usize = 2000;

/// A running process, killed when it is dropped. Its stderr goes to a file.
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
        let child = command.spawn().with_context(|| format!("{name} cannot be started"))?;
        Ok(Self { name, child, log })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once, whatever it does.
    pub(crate) fn kill(&mut self) {
        // Either may fail only because it has ended already.
        drop((self.child.kill(), self.child.wait()));
    }

    /// The first line it prints; waits for it.
    pub(crate) fn first_line(&mut self) -> Result<String> {
        let stdout = self.child.stdout.take().context("its output was read before")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        if line.is_empty() {
            bail!("{} said nothing: {}", self.name, self.last_words())
        }
        Ok(line.trim_end().to_owned())
    }

    /// Fails if it has ended.
    pub(crate) fn must_live(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended ({status}): {}", self.name, self.last_words()),
        }
    }

    /// Waits for its end and the first line it printed.
    pub(crate) async fn finish(mut self, within: Duration) -> Result<String> {
        let status = self.ended(within).await?;
        if !status.success() {
            bail!("{} failed ({status}): {}", self.name, self.last_words())
        }
        self.first_line()
    }

    async fn ended(&mut self, within: Duration) -> Result<ExitStatus> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if begun.elapsed() > within {
                bail!("{} did not end within {within:?}", self.name)
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn last_words(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(SHOWN)..]).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
