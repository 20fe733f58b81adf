//! Bus, receiver and publisher, each a process, around the measured worker.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::process::{Process, eventually};
use crate::build::Built;

/// Bytes of padding that make a delivered body about 600 bytes long.
const PAD_BYTES: usize = 440;
const TOPIC: &str = "cost.event";
/// Requests in flight to the subscription.
const CONCURRENCY: &str = "64";

/// A running bus and receiver, and a subscription that connects them.
pub(super) struct Rig {
    pub(super) decnet: PathBuf,
    received: Arc<AtomicU64>,
    _bus: Process,
    _receiver: Process,
    directory: TempDir,
}

impl Rig {
    /// Builds the programs like the workspace's tests, so that nothing is left to build after those.
    pub(super) fn start() -> Result<(Self, Built)> {
        let built = Built::by("test --workspace --no-run --locked --quiet")?;
        let decnet = built.executable("bin", "decnet")?;
        let parent = decnet.parent().context("the path of decnet has no parent directory")?;
        let directory = TempDir::with_prefix_in("cost-", parent)?;
        let mut bus = Process::start(command(&decnet, directory.path()).arg("bus").stderr(Stdio::piped()))?;
        wait_for_line(&mut bus, "the bus is listening")?;
        let mut receive = command(&decnet, directory.path());
        receive.args(["receive", "--port", "0"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut receiver = Process::start(&mut receive)?;
        let line = wait_for_line(&mut receiver, "receiving on")?;
        let url = line.split_ascii_whitespace().find(|word| word.starts_with("http://"));
        let url = url.map(|url| url.trim_end_matches(',')).context("the receiver did not print a URL")?;
        let received = count_lines(&mut receiver)?;
        let mut rig = Self { decnet, received, _bus: bus, _receiver: receiver, directory };
        rig.run(&["subscription", "create", "--name", "cost", "--url", url, "--pattern", TOPIC])?;
        Ok((rig, built))
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.directory().join("bus.sock")
    }

    /// Returns a command for `decnet`, or a program that runs it, in this rig's environment.
    pub(super) fn command(&self, program: impl AsRef<Path>) -> Command {
        command(program.as_ref(), self.directory())
    }

    /// Publishes events and waits until all have arrived.
    pub(super) fn deliver(&mut self, events: u64) -> Result<()> {
        let owed = self.received.load(Ordering::Relaxed) + events;
        let path = self.directory().join("events.jsonl");
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
        for number in 0..events {
            writeln!(file, r#"{{"n":{number},"pad":"{}"}}"#, "x".repeat(PAD_BYTES))?;
        }
        file.into_inner()?;
        self.run(&["publish", TOPIC, &format!("@{}", path.display())])?;
        eventually("all events have arrived", || Ok(self.received.load(Ordering::Relaxed) >= owed))
    }

    /// Publishes events until the worker receives an event, then waits until no more arrive.
    pub(super) fn wait_for_worker(&mut self) -> Result<()> {
        eventually("the worker subscribes to the bus", || {
            self.run(&["publish", TOPIC, "{}"])?;
            std::thread::sleep(std::time::Duration::from_millis(50));
            Ok(self.received.load(Ordering::Relaxed) > 0)
        })?;
        let published = || self.received.load(Ordering::Relaxed);
        // Events from before the subscription were never sent; the others have arrived once no more
        // arrive.
        let mut before = 0;
        eventually("the first events have arrived", || {
            std::thread::sleep(std::time::Duration::from_millis(100));
            Ok(std::mem::replace(&mut before, published()) == published())
        })
    }

    /// Runs `decnet` and waits for its success.
    pub(super) fn run(&mut self, arguments: &[&str]) -> Result<()> {
        let output = self.command(&self.decnet).args(arguments).stdout(Stdio::null()).output()?;
        ensure!(
            output.status.success(),
            "decnet {}: {}",
            arguments[0],
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}

/// Returns a command with a new environment, so that the configuration of this machine has no effect.
fn command(program: &Path, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.current_dir(directory).env("HOME", directory).env("DECNET_DATA_DIR", directory);
    command
        .env("DECNET_BUS_SOCKET", directory.join("bus.sock"))
        .env("DECNET_WEBHOOK_ALLOW_CIDRS", "127.0.0.0/8");
    command.env("DECNET_WEBHOOK_CONCURRENCY", CONCURRENCY).stdin(Stdio::null());
    command
}

/// Returns the line of stderr that contains `text`. A thread reads the rest, so that the process never blocks
/// on it.
fn wait_for_line(process: &mut Process, text: &str) -> Result<String> {
    let mut stderr = BufReader::new(process.0.stderr.take().context("stderr is not a pipe")?);
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        ensure!(stderr.read_line(&mut line)? > 0, "a process exited before it printed {text:?}");
    }
    std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    Ok(line)
}

/// Counts the lines of stdout, one for each request.
fn count_lines(process: &mut Process) -> Result<Arc<AtomicU64>> {
    let stdout = BufReader::new(process.0.stdout.take().context("stdout is not a pipe")?);
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        stdout.split(b'\n').for_each(|_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
    });
    Ok(count)
}
