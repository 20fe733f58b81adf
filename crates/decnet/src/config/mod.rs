//! The configuration, read once from all layers and validated as a whole.
//!
//! [`keys`] is the table of settings. [`layers`] finds each value in the environment and files, which [`ini`], [`dotenv`] and
//! [`services`] parse. [`types`] parses values. [`found`] holds the result and lists the effective settings. [`adoption`]
//! selects the catalog file, and [`mod@page`] generates docs/configuration.md.

mod access;
mod adoption;
mod data_dir;
mod database;
mod dotenv;
mod found;
mod home;
mod ini;
mod key;
mod key_file;
mod keys;
mod layers;
mod page;
mod proxy;
mod secret_file;
mod services;
#[cfg(test)]
mod tests;
mod types;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use decnet_dispatch as dispatch;
use decnet_sender::{self as sender, EgressGuard};
use decnet_store::ownership::directory_of;
use decnet_store::queue::Retention;
use decnet_store::vault::Keys;
use hyper::Uri;

pub(crate) use self::access::Access;
pub(crate) use self::data_dir::SERVICES_DATA_DIR;
use self::database::CATALOG;
pub(crate) use self::database::{Database, DatabaseKind};
pub(crate) use self::found::{Found, Setting, find};
use self::home::Home;
use self::layers::{ARGUMENT, Layers};
pub(crate) use self::layers::{Inputs, Uses};
pub(crate) use self::page::page;
pub(crate) use self::services::{services_database, units as service_units};
pub(crate) use self::types::{
    duration as read_duration, duration_within as read_duration_within, origin as read_origin,
};
use crate::trust::Refused;

/// The validated configuration.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The role of this host.
    pub(crate) mode: Mode,
    /// Whether an agent refuses the master's commands.
    pub(crate) disallow_master: bool,
    /// The directory of the queue and, unless [`Config::database`] is elsewhere, of the catalog. It may not exist yet.
    pub(crate) data_dir: PathBuf,
    /// Whether no setting names the data directory.
    pub(crate) is_data_dir_default: bool,
    /// The database that contains `webhook_subscriptions`.
    pub(crate) database: Database,
    /// Whether no setting names the database.
    pub(crate) is_database_default: bool,
    /// The keys that encrypt secrets in the catalog. Empty in commands that do not use the configured catalog.
    pub(crate) keys: Keys,
    /// The event bus.
    pub(crate) bus: Bus,
    /// The HTTP API.
    pub(crate) api: Api,
    /// The options of the worker. Test requests use its deadline and its egress guard too.
    pub(crate) worker: dispatch::Options,
    /// Access to the HTTP API in addition to the tokens in the catalog. Empty in commands that neither serve nor check the API.
    pub(crate) access: Access,
    /// The logging configuration.
    pub(crate) log: Log,
    /// The collector's OTLP endpoint, if tracing is enabled.
    pub(crate) tracing: Option<Uri>,
    /// The TCP address on which the worker serves its metrics, if any.
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Host names that the metrics address accepts in addition to those of this host.
    pub(crate) metrics_hosts: Vec<String>,
}

/// The role of a host (`DECNET_MODE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The host with the catalog.
    Master,
    /// A host that runs decoys only.
    Agent,
}

/// The event bus.
#[derive(Debug, Clone)]
pub(crate) struct Bus {
    /// Whether a bus is used at all.
    pub(crate) enabled: bool,
    /// The configured socket, if any; see [`Bus::path`].
    pub(crate) socket: Option<PathBuf>,
    /// The socket that is used if none is configured.
    pub(crate) default_socket: PathBuf,
    /// The group that may use the socket, if that group exists.
    pub(crate) group: String,
    /// Users, by name or uid, who may have lossless queues in addition to root and the user of the bus.
    pub(crate) lossless_users: Vec<String>,
    /// The longest wait between two attempts to connect to an unavailable bus.
    pub(crate) reconnect: Duration,
}

/// The HTTP API.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    /// Whether `decnet serve` serves the API.
    pub(crate) enabled: bool,
    /// The address on which the API listens, or a name of this host.
    pub(crate) host: String,
    /// The TCP port; 0 selects a free port.
    pub(crate) port: u16,
    /// Whether creations over DECNET's routes are rate-limited per address.
    pub(crate) limits_creations: bool,
    /// The origins under which a proxy serves the dashboard.
    pub(crate) dashboard_origins: Vec<String>,
}

/// The logging configuration.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    /// A filter in the syntax of `tracing_subscriber::filter::Targets`; `None` for the command's default.
    pub(crate) filter: Option<String>,
    /// The format of messages.
    pub(crate) format: LogFormat,
}

/// The format of log messages (`DECNET_LOG_FORMAT`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Readable lines.
    Human,
    /// One JSON object per line.
    Json,
}

impl Config {
    /// Returns whether the master's commands refuse to run on this host.
    #[must_use]
    pub(crate) fn is_agent(&self) -> bool {
        self.mode == Mode::Agent && self.disallow_master
    }

    fn read(layers: &mut Layers, inputs: &Inputs) -> Self {
        let home = Home::find(inputs);
        let configured = layers.find(&keys::DATA_DIR);
        let is_data_dir_default = configured.is_none();
        let data_dir = configured.unwrap_or_else(|| data_dir::fallback(home.path()));
        let bus = Bus::read(layers, home.path());
        home.report([is_data_dir_default.then_some(&*data_dir), Some(bus.path())], layers);
        let database = read_database(layers, &data_dir);
        let is_named = layers.text(keys::DB_URL.info.name).is_some();
        let api = Api::read(layers);
        let mut worker = read_worker(layers, inputs);
        worker.link_base = api.dashboard_origins.first().map(|origin| origin.as_str().into());
        Self {
            mode: layers.read(&keys::MODE),
            disallow_master: layers.read_flag(&keys::DISALLOW_MASTER),
            is_database_default: !is_named && matches!(database, Database::Sqlite(_)),
            database,
            keys: if inputs.uses.catalog { key_file::read(layers, inputs) } else { Keys::default() },
            data_dir,
            is_data_dir_default,
            bus,
            api,
            worker,
            tracing: read_tracing(layers),
            metrics_listen: layers.find(&keys::METRICS_LISTEN),
            metrics_hosts: layers.read(&keys::METRICS_HOSTS),
            access: if inputs.uses.api { Access::read(layers, inputs) } else { Access::default() },
            log: Log { filter: layers.find(&keys::LOG), format: layers.read(&keys::LOG_FORMAT) },
        }
    }

    /// Validates combinations of settings.
    fn check(&self, layers: &mut Layers, working_dir: &Path) {
        self.check_relative(layers, working_dir);
        let dispatch::Options { concurrency, total_concurrency, .. } = self.worker;
        let (one, all) = (keys::CONCURRENCY.info.name, keys::TOTAL_CONCURRENCY.info.name);
        // The default may exceed a smaller total, which then applies.
        if concurrency > total_concurrency && layers.text(one).is_some() {
            layers
                .problems
                .push(format!("{one} ({concurrency}) must not be greater than {all} ({total_concurrency})"));
        }
    }

    /// Reports relative paths of directories if another user could have put files there.
    fn check_relative(&self, layers: &mut Layers, working_dir: &Path) {
        let of_socket = self.bus.socket.as_deref().map(directory_of);
        let directories =
            [(keys::DATA_DIR.info.name, Some(&*self.data_dir)), (keys::BUS_SOCKET.info.name, of_socket)];
        for (name, directory) in directories {
            let check = |path: &Path| layers.trust.check_directory(&working_dir.join(path));
            let problem = directory.and_then(|path| relative_problem(name, layers.source(name), path, check));
            layers.problems.extend(problem);
        }
    }
}

/// Returns the problem of a path that is relative to the working directory, if the check shows that another user could have put
/// files there. A path on the command line is not checked: the user has just written it.
fn relative_problem(
    name: &str,
    source: &str,
    path: &Path,
    check: impl FnOnce(&Path) -> Result<(), Refused>,
) -> Option<String> {
    if path.is_absolute() || source == ARGUMENT {
        return None;
    }
    let Err(Refused::Untrusted(why)) = check(path) else { return None };
    let path = path.display();
    Some(format!(
        "{name} ({source}) names {path} in the working directory, which cannot be used: {why}; write an absolute path if it is \
         intended"
    ))
}

/// Returns the collector's endpoint if tracing is enabled. Otherwise the endpoint is not read: it may be one that only DECNET
/// supports.
fn read_tracing(layers: &mut Layers) -> Option<Uri> {
    layers.read_flag(&keys::TRACING_ENABLED).then(|| layers.read(&keys::OTEL_ENDPOINT))
}

/// Returns the database from its URL, else from DECNET's separate settings, else the file in the data directory.
fn read_database(layers: &mut Layers, data_dir: &Path) -> Database {
    let url = layers.find(&keys::DB_URL);
    let kind = layers.read(&keys::DB_TYPE);
    let (host, port) = (layers.read(&keys::DB_HOST), layers.read(&keys::DB_PORT));
    let (name, user) = (layers.read(&keys::DB_NAME), layers.read(&keys::DB_USER));
    match (url, kind) {
        (Some(database), _) => database,
        (None, DatabaseKind::Mysql) => Database::Server(format!("mysql://{user}@{host}:{port}/{name}")),
        (None, DatabaseKind::Sqlite) => Database::Sqlite(data_dir.join(CATALOG)),
    }
}

fn read_worker(layers: &mut Layers, inputs: &Inputs) -> dispatch::Options {
    let guard = EgressGuard::new(layers.read_flag(&keys::ALLOW_PRIVATE), layers.read(&keys::ALLOW_CIDRS));
    let retention = Retention {
        delivered_age: layers.read(&keys::RETAIN_DELIVERED),
        dead_age: layers.read(&keys::RETAIN_DEAD),
        parked_age: layers.read(&keys::RETAIN_PARKED),
        max_bytes: layers.read(&keys::RETAIN_BYTES),
        parked: Arc::default(),
    };
    dispatch::Options {
        circuit_threshold: layers.read(&keys::CIRCUIT_THRESHOLD),
        backlog_threshold: layers.read(&keys::BACKLOG_THRESHOLD),
        schedule: layers.read(&keys::RETRY_SCHEDULE),
        severity_file: layers.find(&keys::SEVERITY_FILE).map(Into::into),
        concurrency: layers.read(&keys::CONCURRENCY),
        total_concurrency: layers.read(&keys::TOTAL_CONCURRENCY),
        retention,
        sender: sender::Options {
            deadline: layers.read(&keys::TIMEOUT),
            guard,
            proxy: proxy::read(layers, inputs),
            ..sender::Options::default()
        },
        ..dispatch::Options::default()
    }
}

impl Bus {
    /// Returns the socket's path: the configured path, else the default by DECNET's rule.
    pub(crate) fn path(&self) -> &Path {
        self.socket.as_deref().unwrap_or(&self.default_socket)
    }

    fn read(layers: &mut Layers, home: &Path) -> Self {
        layers.read(&keys::BUS_TYPE);
        Self {
            default_socket: decnet_bus::default_socket_path(home),
            enabled: layers.read_flag(&keys::BUS_ENABLED),
            socket: layers.find(&keys::BUS_SOCKET),
            group: layers.read(&keys::BUS_GROUP),
            lossless_users: layers.read(&keys::BUS_LOSSLESS_USERS),
            reconnect: layers.read(&keys::RECONNECT),
        }
    }
}

impl Api {
    fn read(layers: &mut Layers) -> Self {
        Self {
            enabled: layers.read(&keys::API_ENABLED),
            host: layers.read(&keys::API_HOST),
            port: layers.read(&keys::API_PORT),
            limits_creations: layers.read_flag(&keys::LIMITER_ENABLED),
            dashboard_origins: layers.read(&keys::DASHBOARD_ORIGINS),
        }
    }
}
