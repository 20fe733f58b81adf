//! The product as it is used: `decnet bus` and `decnet webhook`, each a process, over a fresh data directory.

use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use decnet_bus::Client;
use decnet_core::topic::own::{CHANGED_TOPIC, HEALTH_TOPIC};
use decnet_store::queue::Reader;
use tempfile::TempDir;

use super::process::Process;
use super::subscriptions::{self, Changer, Wanted};

/// Type of the event that tells the worker of a change.
const CHANGED: &str = "changed";
/// How long each step of a start may take.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);
/// How often the queue is asked whether all is settled: each answer reads all of it.
const SETTLED_POLL: Duration = Duration::from_millis(50);

/// Settings of the worker beyond the defaults.
pub(crate) type Environment = Vec<(&'static str, String)>;

/// What to build.
pub(crate) struct Setup<'a> {
    /// The `decnet` program.
    pub(crate) program: &'a Path,
    /// Where the data directory is made.
    pub(crate) parent: &'a Path,
    pub(crate) subscriptions: Vec<Wanted>,
    pub(crate) environment: Environment,
}

/// A running bus and worker. Dropped, both are killed and their files deleted.
pub(crate) struct Pipeline {
    pub(crate) worker: Process,
    pub(crate) bus: Process,
    pub(crate) socket: PathBuf,
    /// The subscriptions' UUIDs, in their order.
    pub(crate) uuids: Vec<String>,
    /// From the worker's start to its first heartbeat.
    pub(crate) ready_after: Duration,
    program: PathBuf,
    queue: OnceCell<Reader>,
    directory: TempDir,
}

/// What the queue holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) delivered: u64,
    pub(crate) waiting: u64,
    pub(crate) dead: u64,
}

/// Requests in flight to one subscription, and over all.
pub(crate) fn concurrency(each: usize, total: usize) -> Environment {
    let (each, total) = (each.to_string(), total.to_string());
    vec![("DECNET_WEBHOOK_CONCURRENCY", each), ("DECNET_WEBHOOK_TOTAL_CONCURRENCY", total)]
}

impl Pipeline {
    /// Returns when the worker listens to the bus.
    pub(crate) async fn start(setup: Setup<'_>) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("decnet-").tempdir_in(setup.parent)?;
        let path = directory.path();
        let uuids = subscriptions::create(path, &setup.subscriptions)?;
        let mut bus = Process::start("bus", decnet(setup.program, path).arg("bus"), path)?;
        let (worker, ready_after) = work(setup.program, path, &mut bus, &setup.environment).await?;
        let (program, socket) = (setup.program.to_owned(), socket(path));
        Ok(Self { worker, bus, socket, uuids, ready_after, program, queue: OnceCell::new(), directory })
    }

    /// Kills the worker, as `kill -9` does.
    pub(crate) fn kill_worker(&mut self) {
        self.worker.kill();
    }

    /// Starts a worker again, over the same files; [`Self::ready_after`] is its own.
    pub(crate) async fn start_worker(&mut self, environment: &Environment) -> Result<()> {
        let path = self.directory.path();
        (self.worker, self.ready_after) = work(&self.program, path, &mut self.bus, environment).await?;
        Ok(())
    }

    /// The sequence number of the event that was committed last, which ascends by one for each event.
    pub(crate) fn newest(&self) -> Result<u64> {
        let newest = self.queue()?.newest()?;
        Ok(newest.map_or(0, |id| id.seq().unsigned_abs()))
    }

    /// What the queue holds; reads all of it.
    pub(crate) fn standing(&self) -> Result<Standing> {
        let mut standing = Standing::default();
        for count in self.queue()?.counts()? {
            standing.delivered += count.delivered;
            standing.waiting += count.pending + count.retrying;
            standing.dead += count.dead;
        }
        Ok(standing)
    }

    /// Waits until the queue calls exactly so many delivered and holds nothing else.
    pub(crate) async fn settled(&self, delivered: u64) -> Result<()> {
        let (wanted, begun) = (Standing { delivered, ..Standing::default() }, Instant::now());
        loop {
            match self.standing()? {
                standing if standing == wanted => return Ok(()),
                standing if begun.elapsed() > PATIENCE => {
                    bail!("{delivered} were owed; the queue: {standing:?}")
                }
                _ => tokio::time::sleep(SETTLED_POLL).await,
            }
        }
    }

    /// Who changes its subscriptions.
    pub(crate) fn changer(&self) -> Result<Changer> {
        Changer::open(self.directory.path())
    }

    /// A connection on which the worker can be told of changes with [`signal`].
    pub(crate) async fn client(&mut self) -> Result<Client> {
        greet(&mut self.bus, &self.socket).await
    }

    /// Bytes of the queue's file, and of its write-ahead log.
    pub(crate) fn queue_bytes(&self) -> Result<(u64, u64)> {
        let bytes = |name| fs::metadata(self.directory.path().join(name)).map(|found| found.len());
        Ok((bytes("queue.db")?, bytes("queue.db-wal")?))
    }

    pub(crate) fn must_live(&mut self) -> Result<()> {
        self.bus.must_live()?;
        self.worker.must_live()
    }

    fn queue(&self) -> Result<&Reader> {
        if self.queue.get().is_none() {
            let reader = Reader::open(self.directory.path())?;
            return Ok(self.queue.get_or_init(|| reader));
        }
        self.queue.get().context("the queue was opened")
    }
}

/// Tells the worker that its subscriptions have changed.
pub(crate) async fn signal(client: &mut Client) -> Result<()> {
    Ok(client.publish(CHANGED_TOPIC, CHANGED, &serde_json::Map::new()).await?)
}

/// The program in an environment of its own, so that nothing configured on this machine plays a part.
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

/// Starts a worker, and waits until it says on the bus that it listens.
async fn work(
    program: &Path,
    directory: &Path,
    bus: &mut Process,
    environment: &Environment,
) -> Result<(Process, Duration)> {
    let mut client = greet(bus, &socket(directory)).await?;
    client.subscribe(HEALTH_TOPIC).await?;
    let mut command = decnet(program, directory);
    command.arg("webhook").envs(environment.iter().map(|(name, value)| (name, value)));
    let begun = Instant::now();
    let mut worker = Process::start("worker", &mut command, directory)?;
    let ready = tokio::time::timeout(PATIENCE, client.recv_batch(&mut Vec::new())).await;
    let taken = begun.elapsed();
    worker.must_live()?;
    ready.context("the worker never listened to the bus")??;
    Ok((worker, taken))
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
