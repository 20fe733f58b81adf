//! The system under test: bus, worker and queue as in `decnet serve`, in a temporary directory.

use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use decnet_bench::disk;
use decnet_bench::load::{EVENT_TYPE, payload};
use decnet_bench::receiver::Receiver;
use decnet_bus::Client;
use decnet_core::delivery::classify;
use decnet_core::event::Event;
use decnet_core::limits::MAX_BUS_CONNECTIONS;
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::topic::system_topics::HEALTH_TOPIC;
use decnet_runtime::clock::now;
use decnet_runtime::liveness::Liveness;
use decnet_runtime::thread::RuntimeThread;
use decnet_sender::Target;
use decnet_store::catalog::{Catalog, Create, generate_secret};
use indicatif::ProgressBar;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

use super::driver::{Driver, MANY_TOPIC, Measured, TOPIC};
use super::figures::Figures;
use super::plan::Plan;
use crate::commands::serve::start_bus;
use crate::commands::shared::bus_client::SERVE_SOCKET;
use crate::commands::shared::test_event::{attempt, tested};
use crate::config::{Config, Database};
use crate::context::Context;
use crate::failure::both;
use crate::worker::Prepared;

/// The names of the threads that do not belong to the worker.
pub(super) const OTHER_THREADS: [&str; 4] = ["bus", RECEIVER, DRIVER, decnet_bench::load::THREAD];
const RECEIVER: &str = "receiver";
const DRIVER: &str = "bench";
const NAME: &str = "decnet-bench";
/// The maximum number and duration of the measured syncs.
const SYNCS: (usize, Duration) = (500, Duration::from_secs(1));

/// Runs all measurements. Removes its files on every return.
///
/// # Errors
/// The directory cannot be written, the receiver rejects a request, or a signal arrives.
pub(super) async fn measure(
    receiver: Option<&EndpointUrl>,
    secret: Option<Secret>,
    plan: Plan,
    context: &Context,
) -> anyhow::Result<Figures> {
    let secret = secret.unwrap_or_else(|| Secret::new(generate_secret()));
    if let Some(url) = receiver {
        try_once(url, &secret, context).await?;
    }
    let directory = make_directory(&context.config.data_dir)?;
    let disk = disk::measure(directory.path(), SYNCS.0, SYNCS.1)
        .with_context(|| format!("cannot write to {}", directory.path().display()))?;
    let config = configuration(&context.config, directory.path());
    let stop = CancellationToken::new();
    let _stop_on_return = stop.clone().drop_guard();
    let (url, built_in) = match receiver {
        Some(url) => (url.clone(), None),
        None => {
            let (address, thread) = start_receiver(&stop)?;
            (EndpointUrl::new(&format!("http://{address}/bench"))?, Some(thread))
        }
    };
    subscribe(&config, &url, &secret, plan)?;
    let socket = directory.path().join(SERVE_SOCKET);
    let bus = start_bus(&config, &socket, &Liveness::default(), &stop)?;
    let measured = work(&config, &socket, built_in.is_some(), plan, context).await;
    stop.cancel();
    let received = match built_in {
        Some(receiver) => receiver.join().await,
        None => Ok(()),
    };
    let others = both(bus.join().await, received);
    // The worker's error takes precedence.
    let (measured, _) = both(measured, others)?;
    Ok(Figures::new(&context.config, receiver, disk, measured))
}

/// Runs the worker on this thread until the driver has finished or a signal arrives.
async fn work(
    config: &Config,
    socket: &Path,
    is_built_in: bool,
    plan: Plan,
    context: &Context,
) -> anyhow::Result<Measured> {
    let mut prepared = Prepared::open(config, Some(socket), MAX_BUS_CONNECTIONS)?;
    if is_built_in {
        prepared.allow_loopback();
    }
    let mut watcher = Client::connect(socket, NAME).await?;
    watcher.subscribe(HEALTH_TOPIC).await?;
    let (socket, directory, stats) = (socket.to_owned(), config.data_dir.clone(), prepared.stats());
    let driver = Driver { socket, directory, plan, stats, progress: ProgressBar::new_spinner() };
    let stop = context.shutdown.child_token();
    let token = stop.clone();
    let driving = RuntimeThread::start(DRIVER, move |ready| {
        ready.up();
        driver.run(watcher, token)
    })?;
    let worked = prepared.run(stop.clone()).await;
    stop.cancel();
    let ((), measured) = both(worked, driving.join().await)?;
    measured.context("interrupted; all files were removed")
}

/// Starts the built-in receiver on a thread of its own until `stop` is cancelled. Returns its address.
fn start_receiver(
    stop: &CancellationToken,
) -> anyhow::Result<(SocketAddr, RuntimeThread<(), anyhow::Error>)> {
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let (address, stop) = (listener.local_addr()?, stop.clone());
    let thread = RuntimeThread::start(RECEIVER, move |ready| async move {
        let listener = TcpListener::from_std(listener)?;
        ready.up();
        let serving = Receiver::default().accept(listener, None);
        match LocalSet::new().run_until(stop.run_until_cancelled(serving)).await {
            Some(Err(error)) => Err(error.into()),
            None => Ok(()),
        }
    })?;
    Ok((address, thread))
}

/// Sends one request before anything else is set up, to find configuration mistakes early.
async fn try_once(url: &EndpointUrl, secret: &Secret, context: &Context) -> anyhow::Result<()> {
    let (at, target) = (now(), Target::new(url, secret)?);
    let payload = payload(TOPIC, at.0.unsigned_abs());
    let event = Event::new(&format!("bench-{}", at.0), TOPIC, EVENT_TYPE, at, &payload)?;
    let attempted = tokio::select! {
        attempted = attempt(&target, &event, &context.config) => attempted,
        () = context.shutdown.cancelled() => anyhow::bail!("interrupted"),
    };
    let tested = tested(&attempted, &classify(&attempted.outcome));
    if tested.delivered {
        return Ok(());
    }
    let status = tested.status_code.map(|status| format!("status {status}"));
    let reason = status.into_iter().chain(tested.error).collect::<Vec<_>>().join(": ");
    anyhow::bail!("{url} did not accept a test request, so nothing else was sent: {reason}")
}

/// Creates a temporary directory in the data directory, so that the disk of the data directory is measured. If the data
/// directory does not exist, its nearest existing ancestor is used.
fn make_directory(data_dir: &Path) -> anyhow::Result<TempDir> {
    let parent = data_dir.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("."));
    TempDir::with_prefix_in("decnet-bench-", parent).with_context(|| {
        format!(
            "cannot write to {}; specify a directory on the disk to measure with --data-dir",
            parent.display()
        )
    })
}

/// Returns the configuration with the paths replaced by temporary paths.
fn configuration(config: &Config, directory: &Path) -> Config {
    let mut config = config.clone();
    config.data_dir = directory.to_owned();
    config.database = Database::Sqlite(directory.join("decnet.db"));
    config.bus.socket = Some(directory.join(SERVE_SOCKET));
    config
}

fn subscribe(config: &Config, url: &EndpointUrl, secret: &Secret, plan: Plan) -> anyhow::Result<()> {
    let mut catalog = Catalog::open(config.database.path()?, Create::IfMissing)?;
    let topics = std::iter::once(TOPIC).chain((0..plan.many.unwrap_or(0)).map(|_| MANY_TOPIC));
    for (number, topic) in topics.enumerate() {
        catalog.create(&decnet_bench::subscription(number, url.clone(), secret.clone(), topic)?, now())?;
    }
    Ok(())
}
