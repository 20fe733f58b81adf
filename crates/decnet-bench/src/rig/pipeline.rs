//! The product as it is used: `decnet bus` and `decnet webhook` as processes with a new data directory.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use decnet_bench::subscription;
use decnet_bus::Client;
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::topic::system_topics::{CHANGED_TOPIC, HEALTH_TOPIC};
use decnet_runtime::clock::now;
use decnet_store::catalog::{Catalog, Create, generate_secret};
use decnet_store::queue::Reader;
use tempfile::TempDir;

use super::process::Process;

/// Name of the catalog's file in a data directory.
const CATALOG: &str = "decnet.db";
/// Type of the event that notifies the worker of a change.
const CHANGED: &str = "changed";
/// Maximum time of each step of the start.
const TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);
/// Interval at which the queue is checked for settled deliveries; each check reads the whole queue.
const SETTLED_POLL: Duration = Duration::from_millis(50);

/// Settings of the worker that differ from the defaults.
pub(crate) type Environment = Vec<(&'static str, String)>;

/// A subscription that a measurement needs.
#[derive(Debug, Clone)]
pub(crate) struct SubscriptionSpec {
    pub(crate) url: String,
    pub(crate) pattern: String,
}

impl SubscriptionSpec {
    pub(crate) fn new(url: impl Into<String>, pattern: impl Into<String>) -> Self {
        Self { url: url.into(), pattern: pattern.into() }
    }
}

/// A running bus and worker. Dropping it kills both and deletes their files.
pub(crate) struct Pipeline {
    pub(crate) worker: Process,
    pub(crate) bus: Process,
    pub(crate) socket: PathBuf,
    /// UUIDs of the subscriptions, in the order of the setup.
    pub(crate) uuids: Vec<String>,
    /// Time from the worker's start to its first heartbeat.
    pub(crate) ready_after: Duration,
    program: PathBuf,
    queue: Reader,
    directory: TempDir,
}

/// Number of deliveries in the queue by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct QueueCounts {
    pub(crate) delivered: u64,
    pub(crate) waiting: u64,
    pub(crate) dead: u64,
}

/// Returns the settings for the requests in flight to one subscription, and over all of them.
pub(crate) fn concurrency(each: usize, total: usize) -> Environment {
    let (each, total) = (each.to_string(), total.to_string());
    vec![("DECNET_WEBHOOK_CONCURRENCY", each), ("DECNET_WEBHOOK_TOTAL_CONCURRENCY", total)]
}

impl Pipeline {
    /// Starts bus and worker of `program` with a data directory in `parent`, and returns when the worker is subscribed to the
    /// bus.
    pub(crate) async fn start(
        program: &Path,
        parent: &Path,
        subscriptions: &[SubscriptionSpec],
        environment: &Environment,
    ) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("decnet-").tempdir_in(parent)?;
        let path = directory.path();
        let uuids = subscribe(path, subscriptions)?;
        let mut bus = Process::start("bus", decnet(program, path).arg("bus"), path)?;
        let (worker, ready_after) = launch_worker(program, path, &mut bus, environment).await?;
        let (program, socket, queue) = (program.to_owned(), socket(path), Reader::open(path)?);
        Ok(Self { worker, bus, socket, uuids, ready_after, program, queue, directory })
    }

    /// Starts a new worker with the same files and sets [`Self::ready_after`] to its start-up time.
    pub(crate) async fn start_worker(&mut self, environment: &Environment) -> Result<()> {
        let path = self.directory.path();
        (self.worker, self.ready_after) =
            launch_worker(&self.program, path, &mut self.bus, environment).await?;
        Ok(())
    }

    /// Starts the API as a process of its own and returns it with its address, when it accepts connections.
    pub(crate) async fn start_api(&self) -> Result<(Process, SocketAddr)> {
        let (begun, path) = (Instant::now(), self.directory.path());
        // The port is free once its listener is dropped.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = decnet(&self.program, path);
        command.arg("api").args(["--port", &address.port().to_string()]);
        let mut api = Process::start("api", &mut command, path)?;
        while tokio::net::TcpStream::connect(address).await.is_err() {
            api.ensure_running()?;
            ensure!(begun.elapsed() < TIMEOUT, "the API does not accept connections");
            tokio::time::sleep(POLL).await;
        }
        Ok((api, address))
    }

    /// Returns the sequence number of the event committed last; it increases by one for each event.
    pub(crate) fn newest(&self) -> Result<u64> {
        Ok(self.queue.newest()?.map_or(0, |id| id.seq().unsigned_abs()))
    }

    /// Counts the deliveries in the queue. Reads the whole queue.
    pub(crate) fn queue_counts(&self) -> Result<QueueCounts> {
        let mut counts = QueueCounts::default();
        for count in self.queue.counts()? {
            counts.delivered += count.delivered;
            counts.waiting += count.pending + count.retrying;
            counts.dead += count.dead;
        }
        Ok(counts)
    }

    /// Waits until the queue holds exactly `delivered` delivered deliveries and no others.
    pub(crate) async fn settled(&self, delivered: u64) -> Result<()> {
        let (expected, begun) = (QueueCounts { delivered, ..QueueCounts::default() }, Instant::now());
        loop {
            match self.queue_counts()? {
                counts if counts == expected => return Ok(()),
                counts if begun.elapsed() > TIMEOUT => {
                    bail!("{delivered} deliveries were expected, but the queue has {counts:?}")
                }
                _ => tokio::time::sleep(SETTLED_POLL).await,
            }
        }
    }

    /// Opens the catalog for changes while the worker runs.
    pub(crate) fn catalog(&self) -> Result<Catalog> {
        Ok(Catalog::open(&self.directory.path().join(CATALOG), Create::Never)?)
    }

    /// Connects to the bus, to notify the worker of changes with [`signal`].
    pub(crate) async fn client(&mut self) -> Result<Client> {
        connect_when_ready(&mut self.bus, &self.socket).await
    }

    /// Returns the bytes of the queue's file and of its write-ahead log.
    pub(crate) fn queue_bytes(&self) -> Result<(u64, u64)> {
        let bytes = |name| fs::metadata(self.directory.path().join(name)).map(|found| found.len());
        Ok((bytes("queue.db")?, bytes("queue.db-wal")?))
    }

    pub(crate) fn ensure_running(&mut self) -> Result<()> {
        self.bus.ensure_running()?;
        self.worker.ensure_running()
    }
}

/// Creates the subscriptions and returns their UUIDs in the same order.
fn subscribe(directory: &Path, wanted: &[SubscriptionSpec]) -> Result<Vec<String>> {
    let mut catalog = Catalog::open(&directory.join(CATALOG), Create::IfMissing)?;
    let new = wanted.iter().enumerate().map(|(number, wanted)| {
        let secret = Secret::new(generate_secret());
        subscription(number, EndpointUrl::new(&wanted.url)?, secret, &wanted.pattern)
    });
    let new = new.collect::<Result<Vec<_>>>()?;
    Ok(catalog.create_all(&new, now())?)
}

/// Notifies the worker that its subscriptions have changed.
pub(crate) async fn signal(client: &mut Client) -> Result<()> {
    Ok(client.publish(CHANGED_TOPIC, CHANGED, &serde_json::Map::new()).await?)
}

/// Returns a command with a new environment, so that the configuration of this machine has no effect.
fn decnet(program: &Path, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir(directory).env("HOME", directory).env("DECNET_DATA_DIR", directory);
    command.env("DECNET_BUS_SOCKET", socket(directory)).env("DECNET_LOG", "warn");
    command.env("DECNET_WEBHOOK_ALLOW_CIDRS", "127.0.0.0/8");
    command
}

fn socket(directory: &Path) -> PathBuf {
    directory.join("bus.sock")
}

/// Starts a worker and waits for its first heartbeat on the bus.
async fn launch_worker(
    program: &Path,
    directory: &Path,
    bus: &mut Process,
    environment: &Environment,
) -> Result<(Process, Duration)> {
    let mut client = connect_when_ready(bus, &socket(directory)).await?;
    client.subscribe(HEALTH_TOPIC).await?;
    let mut command = decnet(program, directory);
    command.arg("webhook").envs(environment.iter().map(|(name, value)| (name, value)));
    let begun = Instant::now();
    let mut worker = Process::start("worker", &mut command, directory)?;
    let ready = tokio::time::timeout(TIMEOUT, client.recv_batch(&mut Vec::new())).await;
    let taken = begun.elapsed();
    worker.ensure_running()?;
    ready.context("the worker did not send a heartbeat")??;
    Ok((worker, taken))
}

/// Connects to a bus that may still be starting.
async fn connect_when_ready(bus: &mut Process, socket: &Path) -> Result<Client> {
    let begun = Instant::now();
    loop {
        bus.ensure_running()?;
        match Client::connect(socket, "bench").await {
            Ok(client) => return Ok(client),
            Err(error) if begun.elapsed() > TIMEOUT => bail!(error),
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}
