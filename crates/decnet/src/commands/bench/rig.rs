//! The system under test: bus, worker and queue as in `decnet serve`, in a temporary directory.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use anyhow::Context as _;
use decnet_core::delivery::{Verdict, classify};
use decnet_core::event::Event;
use decnet_core::limits::MAX_BUS_CONNECTIONS;
use decnet_core::pulse::Pulse;
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::Settings;
use decnet_core::topic::Pattern;
use decnet_dispatch::sender::Target;
use decnet_store::catalog::{Catalog, Create, NewSubscription, generate_secret};
use ipnet::IpNet;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::disk;
use super::driver::{Driver, KIND, MANY_TOPIC, TOPIC, payload};
use super::figures::Figures;
use super::plan::Plan;
use super::receiver;
use crate::commands::bus_client::SERVE_SOCKET;
use crate::commands::serve::start_bus;
use crate::commands::subscription::test;
use crate::commands::thread::{RuntimeThread, both};
use crate::config::{Config, Database};
use crate::context::Context;
use crate::receiver::now;
use crate::worker::Prepared;

/// The names of the threads that do not belong to the worker.
pub(super) const OTHER_THREADS: [&str; 3] = ["bus", RECEIVER, PUBLISHER];
pub(super) const RECEIVER: &str = "receiver";
pub(super) const PUBLISHER: &str = "publisher";

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
    let disk = disk::measure(directory.path())
        .with_context(|| format!("cannot write to {}", directory.path().display()))?;
    let config = configuration(&context.config, directory.path());
    let stop = CancellationToken::new();
    let _stop_on_return = stop.clone().drop_guard();
    let (url, built_in) = match receiver {
        Some(url) => (url.clone(), None),
        None => {
            let (address, thread) = receiver::start(&stop)?;
            (EndpointUrl::new(&format!("http://{address}/bench"))?, Some(thread))
        }
    };
    subscribe(&config, &url, &secret, plan)?;
    let socket = directory.path().join(SERVE_SOCKET);
    let bus = start_bus(&config, &socket, &Pulse::default(), &stop)?;
    let allow = built_in.iter().map(|_| IpNet::from(IpAddr::from(Ipv4Addr::LOCALHOST))).collect::<Vec<_>>();
    let driver = Driver::prepare(&socket, directory.path(), plan).await?;
    let measured = work(&config, &socket, &allow, driver, context).await;
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
    allow: &[IpNet],
    driver: Driver,
    context: &Context,
) -> anyhow::Result<super::driver::Measured> {
    let prepared = Prepared::open(config, Some(socket), allow, MAX_BUS_CONNECTIONS)?;
    let stop = context.shutdown.child_token();
    let (stats, token) = (prepared.stats(), stop.clone());
    let driving = RuntimeThread::start(PUBLISHER, move |ready| {
        ready.up();
        driver.run(stats, token)
    })?;
    let worked = prepared.run(stop.clone()).await;
    stop.cancel();
    let ((), measured) = both(worked, driving.join().await)?;
    measured.context("interrupted; all files were removed")
}

/// Sends one request before anything else is set up, to find configuration mistakes early.
async fn try_once(url: &EndpointUrl, secret: &Secret, context: &Context) -> anyhow::Result<()> {
    let (at, target) = (now(), Target::new(url, secret)?);
    let event = Event::new(&format!("bench-{}", at.0), TOPIC, KIND, at, &payload(at.0).to_string())?;
    let attempted = tokio::select! {
        attempted = test::attempt(&target, &event, &context.config) => attempted?,
        () = context.shutdown.cancelled() => anyhow::bail!("interrupted"),
    };
    if classify(&attempted.outcome) == Verdict::Delivered {
        return Ok(());
    }
    let (status, error) = test::status_and_error(&attempted);
    let status = status.map_or(String::new(), |status| format!("status {status}"));
    let error = error.unwrap_or_default();
    let separator = if status.is_empty() || error.is_empty() { "" } else { ": " };
    anyhow::bail!("{url} did not accept a test request, so nothing else was sent: {status}{separator}{error}")
}

/// Creates the directory inside the data directory, so on its disk, or in the nearest existing parent.
fn make_directory(data_dir: &Path) -> anyhow::Result<TempDir> {
    let parent = data_dir.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("."));
    TempDir::with_prefix_in("decnet-bench-", parent).with_context(|| {
        format!(
            "cannot write to {}; name a directory on the disk to measure with --data-dir",
            parent.display()
        )
    })
}

/// Returns the configuration with the paths replaced by temporary ones.
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
        let new = NewSubscription {
            name: format!("bench-{number}"),
            url: url.clone(),
            secret: secret.clone(),
            patterns: vec![Pattern::new(topic)?],
            enabled: true,
            settings: Settings::default(),
        };
        catalog.create(&new, now())?;
    }
    Ok(())
}
