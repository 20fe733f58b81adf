//! The demo: a receiver that verifies signatures, a subscription to it, and sample events through the real socket.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use decnet_bus::Client;
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::sample::sample;
use decnet_core::settings::Settings;
use decnet_core::signature::SigningKey;
use decnet_core::topic::system_topics::HEALTH_TOPIC;
use decnet_runtime::clock;
use decnet_store::catalog::{self, Catalog, Create, NewSubscription, Patch, generate_secret};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::destinations::patterns;
use super::summary::Summary;
use crate::commands::receive::human;
use crate::config::Config;
use crate::output::{self, Paint};
use crate::receiver::{self, Keys, Options};
use decnet_runtime::thread::RuntimeThread;

const NAME: &str = "demo";
/// The interval between two events: short enough for continuous output, long enough to read it.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(250);
/// The number of requests that may wait to be printed.
const MAX_UNPRINTED: usize = 256;
/// The time for which the receiver remains open for the last deliveries.
const DRAIN_TIME: Duration = Duration::from_millis(250);

/// A demo whose subscription exists and whose receiver is bound.
pub(super) struct Demo {
    listener: std::net::TcpListener,
    secret: Secret,
    socket: PathBuf,
    /// The client that waits for the worker's first heartbeat, after which no event is missed.
    watcher: Client,
    paint: Paint,
}

impl Demo {
    /// Creates the subscription and subscribes to the worker's heartbeat. Call it before the worker starts.
    pub(super) async fn prepare(config: &Config, socket: &Path, paint: Paint) -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let secret = Secret::new(generate_secret());
        subscribe(config.database.path()?, &listener.local_addr()?, &secret)?;
        let mut watcher = Client::connect(socket, "decnet-demo").await?;
        watcher.subscribe(HEALTH_TOPIC).await?;
        Ok(Self { listener, secret, socket: socket.to_owned(), watcher, paint })
    }

    /// Publishes and receives on a thread of its own, until `stop`.
    pub(super) fn start(
        self,
        stop: CancellationToken,
    ) -> anyhow::Result<RuntimeThread<Summary, anyhow::Error>> {
        RuntimeThread::start("demo", move |ready| {
            ready.up();
            self.run(stop)
        })
    }

    async fn run(self, stop: CancellationToken) -> anyhow::Result<Summary> {
        let Self { listener, secret, socket, watcher, paint } = self;
        let keys = Keys { signing: Some(SigningKey::new(&secret)), public: None };
        let options = Options { keys, chat: None, status: None, delay: Duration::ZERO };
        let (received, mut requests) = mpsc::channel(MAX_UNPRINTED);
        let stop_receiver = CancellationToken::new();
        let serving = tokio::spawn(receiver::run(listener, options, received, stop_receiver.clone()));
        let mut summary = Summary::default();
        let printing = async {
            while let Some(request) = requests.recv().await {
                summary.count(&request);
                output::print(&human(&request, paint, false))?;
            }
            anyhow::Ok(())
        };
        let publishing = async {
            let published = publish(watcher, &socket, &stop).await;
            if published.is_ok() {
                tokio::time::sleep(DRAIN_TIME).await;
            }
            stop_receiver.cancel();
            published
        };
        let (published, printed) = tokio::join!(publishing, printing);
        serving.await??;
        printed?;
        summary.published = published?;
        Ok(summary)
    }
}

/// Publishes samples until `stop`. Returns their number.
async fn publish(mut watcher: Client, socket: &Path, stop: &CancellationToken) -> anyhow::Result<u64> {
    let mut ready = Vec::new();
    let Some(received) = stop.run_until_cancelled(watcher.recv_batch(&mut ready)).await else { return Ok(0) };
    received?;
    let mut client = Client::connect(socket, "decnet-demo").await?;
    let mut ticks = interval(PUBLISH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut published = 0;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let event = sample(published);
        client.publish(&event.topic, event.kind, &event.payload).await?;
        published += 1;
    }
    Ok(published as u64)
}

/// Creates the demo's subscription, or updates that of an earlier demo.
fn subscribe(catalog: &Path, address: &SocketAddr, secret: &Secret) -> anyhow::Result<()> {
    let mut catalog = Catalog::open(catalog, Create::IfMissing)?;
    let url = EndpointUrl::new(&format!("http://{address}/demo"))?;
    let patterns = patterns()?;
    match catalog.find(NAME) {
        Ok(row) => {
            let (url, secret, patterns) = (Some(url), Some(secret.clone()), Some(patterns));
            let patch = Patch { url, secret, patterns, enabled: Some(true), ..Patch::default() };
            catalog.update(&row.uuid, &patch, clock::now())?;
        }
        Err(catalog::Error::NotFound { .. }) => {
            let (name, secret, settings) = (NAME.into(), secret.clone(), Settings::default());
            let new = NewSubscription { name, url, secret, patterns, enabled: true, settings };
            catalog.create(&new, clock::now())?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
