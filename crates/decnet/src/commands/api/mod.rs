//! `decnet api`: the HTTP API alone.

mod access;
mod outbound;
mod shown;

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use decnet_api::{Api, Options};
use decnet_core::limits::MAX_API_CONNECTIONS;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub(crate) use self::access::{FirstToken, has_credential};
use self::access::{access, refuse_exposed};
use self::outbound::Dispatch;
use super::shared::bus_client;
use super::shared::detach::DetachArgs;
use crate::config::Config;
use crate::context::Context;
use crate::descriptors;
use crate::output;
use crate::store::open_or_create;
use crate::supervision::Service;
use decnet_runtime::thread::RuntimeThread;
use decnet_telemetry::api::Page;

/// Runs the HTTP API and the dashboard, without bus and worker.
///
/// Uses the catalog and the queue in the data directory, together with `decnet webhook`. `decnet serve` contains the API. The dashboard
/// is at /, the OpenAPI document at /openapi.json, its readable form at /docs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet api
  decnet api --host 0.0.0.0 --port 8080
  decnet --data-dir /srv/decnet api")]
pub(crate) struct Args {
    /// The address to listen on [default: DECNET_API_HOST or 127.0.0.1]
    #[arg(long)]
    host: Option<String>,
    /// The port; 0 for any free port [default: DECNET_API_PORT or 8000]
    #[arg(long)]
    port: Option<u16>,
    #[command(flatten)]
    pub(crate) detach: DetachArgs,
    /// Accepted for compatibility, without effect: the log of the honeypots that DECNET's API reads
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// Accepted for compatibility, without effect: one process serves all requests
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    workers: Option<u32>,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    if args.log_file.is_some() {
        output::warn("--log-file has no effect: only DECNET's own API reads that file");
    }
    if args.workers.is_some() {
        output::warn("--workers has no effect: one process serves all requests");
    }
    let config = &context.config;
    let host = args.host.as_deref().unwrap_or(&config.api.host);
    let listener = listen(config, host, args.port.unwrap_or(config.api.port))?;
    descriptors::allow_connections(MAX_API_CONNECTIONS, 0);
    drop(open_or_create(config)?);
    let sockets = if config.bus.enabled { bus_client::sockets(config) } else { Vec::new() };
    let address = listener.local_addr()?;
    let api = api(config, sockets, None, address, FirstToken::Hint)?;
    tracing::info!(dashboard = %format_args!("http://{address}/"), %address, "the API is listening");
    // The API has no loop to watch; this runtime's progress is its liveness signal.
    let status = Box::new(move || format!("serving at {address}"));
    let service = Service { liveness: Vec::new(), status, is_saving: None };
    args.detach.leave()?;
    let _reporting = service.report(context.shutdown.clone());
    Ok(api.run(listener, context.shutdown.clone()).await?)
}

/// Starts the API on a thread of its own, so that it never delays the worker.
pub(crate) fn start(
    config: &Config,
    sockets: Vec<PathBuf>,
    nudge: Arc<Notify>,
    listener: TcpListener,
    first: FirstToken,
    stop: &CancellationToken,
) -> anyhow::Result<RuntimeThread<(), anyhow::Error>> {
    let api = api(config, sockets, Some(nudge), listener.local_addr()?, first)?;
    let stop = stop.clone();
    RuntimeThread::start("API", move |ready| async move {
        ready.up();
        Ok(api.run(listener, stop).await?)
    })
}

/// Binds the API's address. Call this before anything else is started.
///
/// # Errors
/// The address cannot be bound, or other hosts can reach it and no credential exists. The error says what to do.
pub(crate) fn listen(config: &Config, host: &str, port: u16) -> anyhow::Result<TcpListener> {
    let addresses = (host.trim_matches(['[', ']']), port).to_socket_addrs();
    let addresses: Vec<SocketAddr> = addresses
        .with_context(|| format!("`{host}` is not an address of this host; set DECNET_API_HOST (--host)"))?
        .collect();
    let listener = TcpListener::bind(&*addresses).map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "another program uses the port: stop it (`ss -ltnp` shows it), choose another port with \
                 DECNET_API_PORT, or disable the API with DECNET_API_ENABLED=false (`decnet serve --no-api`)"
            }
            io::ErrorKind::PermissionDenied => "this user may not bind that port; choose a port above 1023",
            _ => "set DECNET_API_HOST to an address of this host",
        };
        anyhow::anyhow!("the API cannot listen on {host} port {port}: {error}; {remedy}")
    })?;
    refuse_exposed(config, listener.local_addr()?)?;
    Ok(listener)
}

fn api(
    config: &Config,
    sockets: Vec<PathBuf>,
    nudge: Option<Arc<Notify>>,
    address: SocketAddr,
    first: FirstToken,
) -> anyhow::Result<Api> {
    Ok(Api::new(Options {
        catalog: config.database.path()?.to_owned(),
        keys: config.keys.clone(),
        data_dir: config.data_dir.clone(),
        sockets,
        metrics: Arc::new(Page(config.data_dir.clone())),
        nudge,
        access: access(config, address, first)?,
        severity_file: config.worker.severity_file.clone(),
        limits_creations: config.api.limits_creations,
        outbound: Arc::new(Dispatch::new(config.clone())),
    }))
}
