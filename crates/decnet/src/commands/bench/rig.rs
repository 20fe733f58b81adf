//! Everything that is measured: bus, worker and queue as `decnet serve` runs them, over a temporary directory.

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
use crate::commands::background::{Background, both};
use crate::commands::link::SERVE_SOCKET;
use crate::commands::serve::start_bus;
use crate::commands::subscription::test;
use crate::config::{Config, Database};
use crate::context::Context;
use crate::receiver::now;
use crate::worker::Prepared;

/// The threads that are not the worker's, by the names they are given.
pub(super) const BESIDE_THE_WORKER: [&str; 3] = ["bus", RECEIVER, PUBLISHER];
pub(super) const RECEIVER: &str = "receiver";
pub(super) const PUBLISHER: &str = "publisher";

/// Measures all there is to measure. Its files are gone afterwards, however it ends.
///
/// # Errors
/// A directory that cannot be written to, a receiver that does not take what it is sent, or a signal.
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
        .with_context(|| format!("{} cannot be written to", directory.path().display()))?;
    let config = configuration(&context.config, directory.path());
    let stop = CancellationToken::new();
    let _stopped_in_any_case = stop.clone().drop_guard();
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
    let beside = both(bus.join().await, received);
    // Why the worker ended comes first.
    let (measured, _) = both(measured, beside)?;
    Ok(Figures::new(&context.config, receiver, disk, measured))
}

/// Runs the worker on this thread until the driver has all it wants, or a signal comes.
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
    let driving = Background::start(PUBLISHER, move |ready| {
        ready.up();
        driver.run(stats, token)
    })?;
    let worked = prepared.run(stop.clone()).await;
    stop.cancel();
    let ((), measured) = both(worked, driving.join().await)?;
    measured.context("interrupted; nothing is left behind")
}

/// One request, before anything else is set up: most mistakes show in it.
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
    let (status, error) = test::told(&attempted);
    let status = status.map_or(String::new(), |status| format!("answered {status}"));
    let error = error.unwrap_or_default();
    let separator = if status.is_empty() || error.is_empty() { "" } else { ": " };
    anyhow::bail!("{url} does not take a request, so nothing more was sent: {status}{separator}{error}")
}

/// Beside the data directory's files, so on its disk; where that is not there yet, in the nearest directory above.
fn make_directory(data_dir: &Path) -> anyhow::Result<TempDir> {
    let parent = data_dir.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("."));
    TempDir::with_prefix_in("decnet-bench-", parent).with_context(|| {
        format!(
            "{} cannot be written to; name a directory on the disk to measure with --data-dir",
            parent.display()
        )
    })
}

/// What is configured here, but with nothing of what is in use.
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
