//! `decnet serve`: bus, worker and API in one process, with one data directory.

mod demo;
mod destinations;
mod results;
mod summary;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use anyhow::Context as _;
use decnet_bus::{Server, ServerOptions};
use decnet_core::limits::{MAX_API_CONNECTIONS, MAX_BUS_CONNECTIONS};
use decnet_core::redact::Secret;
use decnet_runtime::liveness::Liveness;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use self::demo::Demo;
use super::api::{self, FirstToken};
use super::bus;
use super::shared::bus_client::SERVE_SOCKET;
use super::shared::secret_args::secret;
use crate::config::{Api, Config, Database};
use crate::context::Context;
use crate::failure::both;
use crate::output;
use crate::store::{create_data_dir, open_existing};
use crate::trust::Trust;
use crate::worker::Prepared;
use decnet_runtime::thread::RuntimeThread;

/// Runs bus, worker and HTTP API in one process.
///
/// Programs publish to the socket `bus.sock` in the data directory (or DECNET_BUS_SOCKET), as `decnet publish` does.
/// Create subscriptions with `decnet subscription create`. Ctrl-C or SIGTERM stops cleanly: requests in flight are
/// finished, and undelivered events are delivered after the next start.
///
/// With --to, a subscription to a chat service or another known destination is created at the start, or updated if it exists. Its
/// name is that of the format, `slack`, and the second one of a format is `slack-2`. It gets attacker.>, decky.>, credential.>
/// and canary.> until `decnet subscription update` changes that.
///
/// The HTTP API listens on DECNET_API_HOST and DECNET_API_PORT, by default 127.0.0.1:8000.
///
/// The data directory is created with mode 0700. If other users publish, set DECNET_BUS_SOCKET to a path outside of it
/// and DECNET_BUS_GROUP to the group that may use it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet serve --demo                       # sample events and a receiver
  decnet serve --demo --to slack=@slack.url # sample events in a Slack channel
  decnet --data-dir /srv/decnet serve --no-api
  decnet --data-dir /srv/decnet serve       # ready for your publishers and subscriptions")]
pub(crate) struct Args {
    /// Add a receiver that verifies signatures, a subscription to it, and sample events; uses a temporary directory
    /// unless --data-dir is given
    #[arg(long)]
    pub(crate) demo: bool,
    /// Send events to the URL on the first line of a file, in this format; repeatable. Without FORMAT= the format follows from the
    /// host, such as hooks.slack.com. A URL in place of @FILE is visible in the process list
    #[arg(long, value_name = "[FORMAT=]@FILE", value_parser = secret)]
    to: Vec<Secret>,
    /// Do not serve the HTTP API, as with DECNET_API_ENABLED=false
    #[arg(long)]
    no_api: bool,
}

impl Args {
    /// Returns whether the files go to a temporary directory: in a demo, unless a data directory is configured.
    pub(crate) fn is_temporary(&self, config: &Config) -> bool {
        self.demo && config.is_data_dir_default
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let (mut config, shutdown) = (context.config.clone(), context.shutdown.clone());
    let destinations = destinations::read(&args.to)?;
    let temporary = prepare_directory(&mut config, &args)?;
    let listener = (config.api.enabled && !args.no_api).then(|| listen(&config, args.demo)).transpose()?;
    let socket = config.bus.socket.clone().unwrap_or_else(|| config.data_dir.join(SERVE_SOCKET));
    let stop_bus = CancellationToken::new();
    let bus_liveness = Liveness::default();
    let bus = start_bus(&config, &socket, &bus_liveness, &stop_bus)?;
    let demo = if args.demo { Some(Demo::prepare(&config, &socket, context.paint).await?) } else { None };
    let prepared = Prepared::open(&config, Some(&socket), MAX_BUS_CONNECTIONS + MAX_API_CONNECTIONS)?;
    let set_up = destinations::set_up(&destinations, &config, args.demo)?;
    let address = listener.as_ref().map(TcpListener::local_addr).transpose()?;
    let first = if args.demo { FirstToken::Login } else { FirstToken::Link };
    let api = listener.map(|listener| {
        api::start(&config, vec![socket.clone()], prepared.nudge(), listener, first, &shutdown)
    });
    let api = api.transpose()?;
    print_ready(&config, &socket, address, temporary.is_some())?;
    set_up.iter().for_each(|line| output::note(line));
    let running = demo.map(|demo| demo.start(shutdown.clone())).transpose()?;
    let (mut service, stats) = (prepared.service(), prepared.stats());
    service.liveness.push(bus_liveness);
    let _reporting = service.report(shutdown.clone());
    let names = destinations.iter().map(|destination| destination.name().to_owned()).collect();
    let watching = args.demo.then(|| tokio::spawn(results::watch(names, stats, shutdown.clone())));
    let worked = prepared.run(shutdown.clone()).await;
    shutdown.cancel();
    stop_bus.cancel();
    let demonstrated = match running {
        Some(running) => running.join().await.map(|summary| output::note(&summary.to_string())),
        None => Ok(()),
    };
    let listed = match watching {
        Some(watching) => match watching.await {
            Ok(all) => results::print(&all, &config.data_dir),
            Err(panicked) => Err(panicked.into()),
        },
        None => Ok(()),
    };
    let served = match api {
        Some(api) => api.join().await,
        None => Ok(()),
    };
    // The worker's error takes precedence.
    [demonstrated, listed, served, bus.join().await]
        .into_iter()
        .fold(worked, |first, second| both(first, second).map(drop))
}

/// Binds the API's address. The demo uses a free port if the configured port is in use.
fn listen(config: &Config, demo: bool) -> anyhow::Result<TcpListener> {
    let Api { host, port, .. } = &config.api;
    match api::listen(config, host, *port) {
        Err(_) if demo => api::listen(config, host, 0),
        listening => listening,
    }
}

/// Creates the data directory, which may be [temporary](Args::is_temporary).
fn prepare_directory(config: &mut Config, args: &Args) -> anyhow::Result<Option<TempDir>> {
    let temporary = args.is_temporary(config).then(|| TempDir::with_prefix("decnet-demo-")).transpose()?;
    if let Some(directory) = &temporary {
        let path = directory.path();
        let checked = Trust::default().check_directory(path);
        checked.with_context(|| format!("the demo cannot use {}; set TMPDIR", path.display()))?;
        config.data_dir = path.to_owned();
    }
    if args.demo {
        // The demo must not add its subscription to a catalog that others use. Its receiver is on this host.
        config.database = Database::Sqlite(config.data_dir.join("decnet.db"));
        config.bus.socket = Some(config.data_dir.join(SERVE_SOCKET));
        config.worker.sender.guard.allow(IpAddr::from(Ipv4Addr::LOCALHOST).into());
        config.worker.sends_digests_at_stop = true;
    }
    create_data_dir(&config.data_dir)?;
    Ok(temporary)
}

/// Starts the bus on a thread of its own, so that the worker never delays it.
pub(super) fn start_bus(
    config: &Config,
    socket: &Path,
    liveness: &Liveness,
    stop: &CancellationToken,
) -> anyhow::Result<RuntimeThread<(), anyhow::Error>> {
    bus::check_location(socket)?;
    let options = ServerOptions {
        group: Some(config.bus.group.clone()),
        liveness: liveness.clone(),
        users: bus::users(&config.bus)?,
        ..ServerOptions::new(socket)
    };
    let stop = stop.clone();
    RuntimeThread::start("bus", move |ready| async move {
        let server = match Server::bind(options) {
            Ok(server) => server,
            Err(error) => return ready.failed(error.into()),
        };
        ready.up();
        Ok(server.run(stop).await?)
    })
}

/// Reports the addresses and paths in use, and the next steps.
fn print_ready(
    config: &Config,
    socket: &Path,
    api: Option<SocketAddr>,
    temporary: bool,
) -> anyhow::Result<()> {
    let (data, socket) = (config.data_dir.display(), socket.display());
    let api = api.map_or_else(String::new, |address| {
        format!(", dashboard at http://{address}/, API at http://{address}/docs")
    });
    output::note(&format!("decnet is up: bus at {socket}, data in {data}{api}"));
    if temporary {
        output::note("this is a demo: its temporary directory is removed at the end");
    } else {
        if open_existing(config)?.rows()?.is_empty() {
            output::note(&format!(
                "no subscriptions yet; create one with: decnet --data-dir {data} subscription create --name siem \
                 --url https://siem.example/hook --pattern 'attacker.>'"
            ));
        }
        output::note(&format!(
            "publish with: decnet --data-dir {data} publish attacker.observed '{{\"ip\":\"192.0.2.1\"}}'"
        ));
    }
    Ok(())
}
