//! The demo: a receiver that verifies, a subscription to it, and sample events through the real socket.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use decnet_bus::Client;
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::Settings;
use decnet_core::signature::SigningKey;
use decnet_core::topic::Pattern;
use decnet_core::topic::own::HEALTH_TOPIC;
use decnet_dispatch::clock;
use decnet_store::catalog::{self, Catalog, Create, NewSubscription, Patch, generate_secret};
use ipnet::IpNet;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::samples::sample;
use super::summary::Summary;
use crate::commands::background::Background;
use crate::commands::receive::human;
use crate::config::Config;
use crate::output::{self, Paint};
use crate::receiver::{Options, Received, Receiver};

const NAME: &str = "demo";
const PATTERNS: [&str; 4] = ["attacker.>", "decky.>", "credential.>", "canary.>"];
/// Four events a second: fast enough to see it move, slow enough to read.
const PACE: Duration = Duration::from_millis(250);
/// Requests that wait to be printed.
const WAITING: usize = 256;
/// What the last deliveries get to arrive once no more events are published.
const LAST_ARRIVALS: Duration = Duration::from_secs(2);

/// A demo whose subscription is made and whose receiver knows its port.
pub(super) struct Demo {
    listener: std::net::TcpListener,
    secret: Secret,
    socket: PathBuf,
    /// Sees the worker's first heartbeat, after which no event is missed.
    watcher: Client,
    paint: Paint,
}

impl Demo {
    /// Makes the subscription and listens for the worker to come up. Call it before the worker starts.
    pub(super) async fn prepare(config: &Config, socket: &Path, paint: Paint) -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let secret = Secret::new(generate_secret());
        subscribe(config.database.path()?, &listener.local_addr()?, &secret)?;
        let mut watcher = Client::connect(socket, "decnet-demo").await?;
        watcher.subscribe(HEALTH_TOPIC).await?;
        Ok(Self { listener, secret, socket: socket.to_owned(), watcher, paint })
    }

    /// The one address beyond the public ones that the demo's worker may dial.
    pub(super) fn allowed(&self) -> IpNet {
        IpNet::from(IpAddr::from(Ipv4Addr::LOCALHOST))
    }

    /// Publishes and receives on a thread of its own, until `stop`.
    pub(super) fn start(self, stop: CancellationToken) -> anyhow::Result<Background<Summary>> {
        Background::start("demo", move |ready| {
            ready.up();
            self.run(stop)
        })
    }

    async fn run(self, stop: CancellationToken) -> anyhow::Result<Summary> {
        let Self { listener, secret, socket, watcher, paint } = self;
        let options = Options::new(Some(SigningKey::new(&secret)));
        let receiver = Receiver::from_std(listener, options)?;
        let (seen, mut requests) = mpsc::channel(WAITING);
        let stop_receiver = CancellationToken::new();
        let serving = tokio::spawn(receiver.run(seen, stop_receiver.clone()));
        let publishing = publish(watcher, &socket, &stop);
        let mut summary = Summary::default();
        let printing = async {
            while let Some(request) = requests.recv().await {
                show(&request, paint, &mut summary)?;
            }
            anyhow::Ok(())
        };
        let publishing = async {
            let published = publishing.await;
            tokio::time::sleep(if published.is_ok() { LAST_ARRIVALS.min(PACE) } else { Duration::ZERO })
                .await;
            stop_receiver.cancel();
            published
        };
        let (published, printed) = tokio::join!(publishing, printing);
        serving.await?;
        printed?;
        summary.published = published?;
        Ok(summary)
    }
}

fn show(request: &Received, paint: Paint, summary: &mut Summary) -> anyhow::Result<()> {
    summary.count(request);
    output::print(&human(request, paint, false))
}

/// Publishes samples until `stop`; how many.
async fn publish(mut watcher: Client, socket: &Path, stop: &CancellationToken) -> anyhow::Result<u64> {
    let mut ready = Vec::new();
    tokio::select! {
        result = watcher.recv_batch(&mut ready) => result?,
        () = stop.cancelled() => return Ok(0),
    }
    let mut client = Client::connect(socket, "decnet-demo").await?;
    let mut pace = pace();
    let mut published = 0;
    for n in 0.. {
        tokio::select! {
            _ = pace.tick() => {}
            () = stop.cancelled() => break,
        }
        let event = sample(n);
        client.publish(&event.topic, event.kind, &event.payload).await?;
        published += 1;
    }
    Ok(published)
}

fn pace() -> Interval {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}

/// Makes the demo's subscription, or points the one of an earlier demo here.
fn subscribe(catalog: &Path, address: &SocketAddr, secret: &Secret) -> anyhow::Result<()> {
    let mut catalog = Catalog::open(catalog, Create::IfMissing)?;
    let url = EndpointUrl::new(&format!("http://{address}/demo"))?;
    let patterns = PATTERNS.iter().map(|pattern| Pattern::new(pattern)).collect::<Result<Vec<_>, _>>()?;
    match catalog.find(NAME) {
        Ok(row) => {
            let secret = Some(secret.clone());
            let patch = Patch {
                url: Some(url),
                secret,
                patterns: Some(patterns),
                enabled: Some(true),
                ..Patch::default()
            };
            catalog.update(&row.uuid, &patch, clock::now())?;
        }
        Err(catalog::Error::NotFound { .. }) => {
            let new = NewSubscription {
                name: NAME.into(),
                url,
                secret: secret.clone(),
                patterns,
                enabled: true,
                settings: Settings::default(),
            };
            catalog.create(&new, clock::now())?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
