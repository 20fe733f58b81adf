//! The product as it is used: `decnet bus` and `decnet webhook`, each a process, over a fresh data directory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use decnet_bus::Client;
use decnet_core::topic::own::HEALTH_TOPIC;
use decnet_store::queue::Reader;
use tempfile::TempDir;

use super::process::Process;

/// How long each step of a start may take.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(5);

/// What to build.
pub(crate) struct Setup<'a> {
    /// The `decnet` program.
    pub(crate) program: &'a Path,
    /// Where the data directory is made.
    pub(crate) parent: &'a Path,
    pub(crate) receiver: SocketAddr,
    /// What each URL's path begins with.
    pub(crate) path: &'a str,
    /// Subscriptions, each to every event.
    pub(crate) fan_out: u32,
    /// Requests in flight to one subscription.
    pub(crate) in_flight: usize,
}

/// A running bus and worker. Dropped, both are killed and their files deleted.
pub(crate) struct Pipeline {
    pub(crate) worker: Process,
    pub(crate) bus: Process,
    pub(crate) socket: PathBuf,
    directory: TempDir,
}

impl Pipeline {
    /// Returns when the worker listens to the bus.
    pub(crate) async fn start(setup: &Setup<'_>) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("decnet-").tempdir_in(setup.parent)?;
        let socket = directory.path().join("bus.sock");
        subscribe(setup, directory.path())?;
        let mut bus = Process::start("bus", decnet(setup, directory.path()).arg("bus"), directory.path())?;
        let mut client = greet(&mut bus, &socket).await?;
        client.subscribe(HEALTH_TOPIC).await?;
        let mut command = decnet(setup, directory.path());
        let mut worker = Process::start("worker", command.arg("webhook"), directory.path())?;
        let ready = tokio::time::timeout(PATIENCE, client.recv_batch(&mut Vec::new())).await;
        worker.must_live()?;
        ready.context("the worker never listened to the bus")??;
        Ok(Self { worker, bus, socket, directory })
    }

    /// Deliveries that the queue calls delivered, and whether there is anything else in it.
    pub(crate) fn delivered(&self) -> Result<(u64, bool)> {
        let counts = Reader::open(self.directory.path())?.counts()?;
        let delivered = counts.iter().map(|count| count.delivered).sum();
        let others = counts.iter().any(|count| count.pending + count.retrying + count.dead > 0);
        Ok((delivered, others))
    }

    pub(crate) fn must_live(&mut self) -> Result<()> {
        self.bus.must_live()?;
        self.worker.must_live()
    }
}

/// The program in an environment of its own, so that nothing configured on this machine plays a part.
fn decnet(setup: &Setup<'_>, directory: &Path) -> Command {
    let mut command = Command::new(setup.program);
    command.env_clear().current_dir(directory).env("HOME", directory).env("DECNET_DATA_DIR", directory);
    command.env("DECNET_BUS_SOCKET", directory.join("bus.sock")).env("DECNET_LOG", "warn");
    command.env("DECNET_WEBHOOK_ALLOW_CIDRS", "127.0.0.0/8");
    command.env("DECNET_WEBHOOK_CONCURRENCY", setup.in_flight.to_string());
    command.env("DECNET_WEBHOOK_TOTAL_CONCURRENCY", "256");
    command
}

/// As an operator would, on the command line.
fn subscribe(setup: &Setup<'_>, directory: &Path) -> Result<()> {
    for number in 0..setup.fan_out {
        let (name, url) =
            (format!("bench-{number}"), format!("http://{}{}{number}", setup.receiver, setup.path));
        let mut command = decnet(setup, directory);
        command.args(["subscription", "create", "--name", &name, "--url", &url, "--pattern", "bench.>"]);
        let created = command.output().context("decnet cannot be started")?;
        ensure!(created.status.success(), "no subscription: {}", String::from_utf8_lossy(&created.stderr));
    }
    Ok(())
}

/// Connects to a bus that is just starting.
async fn greet(bus: &mut Process, socket: &Path) -> Result<Client> {
    let begun = Instant::now();
    loop {
        bus.must_live()?;
        match Client::connect(socket, "bench").await {
            Ok(client) => return Ok(client),
            Err(error) if begun.elapsed() > PATIENCE => bail!(error),
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}
