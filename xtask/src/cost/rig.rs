//! Bus, receiver and publisher, each a process, around a worker that is looked at.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::process::{Process, eventually};

/// Bytes of padding that make a delivered body about 600 bytes long.
const PAD_BYTES: usize = 440;
const TOPIC: &str = "cost.event";
/// Requests in flight to the one subscription.
const CONCURRENCY: &str = "64";

/// A running bus and receiver, and one subscription from the one to the other.
pub(super) struct Rig {
    decnet: PathBuf,
    received: Arc<AtomicU64>,
    _bus: Process,
    _receiver: Process,
    directory: TempDir,
}

impl Rig {
    pub(super) fn start(decnet: &Path) -> Result<Self> {
        let beside = decnet.parent().context("the program is in no directory")?;
        let directory = TempDir::with_prefix_in("cost-", beside)?;
        let mut bus = Process::start(command(decnet, directory.path()).arg("bus").stderr(Stdio::piped()))?;
        said(&mut bus, "the bus is listening")?;
        let mut receive = command(decnet, directory.path());
        receive.args(["receive", "--port", "0"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut receiver = Process::start(&mut receive)?;
        let line = said(&mut receiver, "receiving on")?;
        let url = line.split_ascii_whitespace().find(|word| word.starts_with("http://"));
        let url = url.map(|url| url.trim_end_matches(',')).context("the receiver names no URL")?;
        let received = count_lines(&mut receiver)?;
        let mut rig = Self { decnet: decnet.to_owned(), received, _bus: bus, _receiver: receiver, directory };
        rig.run(&["subscription", "create", "--name", "cost", "--url", url, "--pattern", TOPIC])?;
        Ok(rig)
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.directory().join("bus.sock")
    }

    /// `decnet` or what stands before it, in this rig's environment.
    pub(super) fn command(&self, program: impl AsRef<Path>) -> Command {
        command(program.as_ref(), self.directory())
    }

    /// Publishes events and waits until they have all arrived.
    pub(super) fn deliver(&mut self, events: u64) -> Result<()> {
        let owed = self.received.load(Ordering::Relaxed) + events;
        let path = self.directory().join("events.jsonl");
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
        for number in 0..events {
            writeln!(file, r#"{{"n":{number},"pad":"{}"}}"#, "x".repeat(PAD_BYTES))?;
        }
        file.into_inner()?;
        self.run(&["publish", TOPIC, &format!("@{}", path.display())])?;
        eventually("everything has arrived", || Ok(self.received.load(Ordering::Relaxed) >= owed))
    }

    /// Waits until the worker listens to the bus: what is published now and then arrives.
    pub(super) fn wait_for_worker(&mut self) -> Result<()> {
        eventually("the worker listens", || {
            self.run(&["publish", TOPIC, "{}"])?;
            std::thread::sleep(std::time::Duration::from_millis(50));
            Ok(self.received.load(Ordering::Relaxed) > 0)
        })?;
        let published = || self.received.load(Ordering::Relaxed);
        // Those published before it listened were never sent; the others are all there once nothing more comes.
        let mut before = 0;
        eventually("the first events have arrived", || {
            std::thread::sleep(std::time::Duration::from_millis(100));
            Ok(std::mem::replace(&mut before, published()) == published())
        })
    }

    /// Runs `decnet` to its end.
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

/// An environment of its own, so that nothing configured on this machine plays a part.
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

/// The line of its stderr that holds `text`; the rest is read away, so that it is never held up.
fn said(process: &mut Process, text: &str) -> Result<String> {
    let mut stderr = BufReader::new(process.stderr.take().context("its stderr is no pipe")?);
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        ensure!(stderr.read_line(&mut line)? > 0, "a process ended before it said {text:?}");
    }
    std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    Ok(line)
}

/// Counts the lines of its stdout, which are requests.
fn count_lines(process: &mut Process) -> Result<Arc<AtomicU64>> {
    let stdout = BufReader::new(process.stdout.take().context("its stdout is no pipe")?);
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        stdout.split(b'\n').for_each(|_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
    });
    Ok(count)
}
