//! The configuration: environment over INI over `.env.local` over defaults, read once and checked as a whole.
//!
//! [`keys`] is the table that all else follows from. [`layers`] finds each value: [`ini`] and [`dotenv`] read the files,
//! [`services`] the units. [`types`] turns texts into values, [`found`] is the result, [`adoption`] decides which file is the
//! catalog, [`show`] and [`mod@page`] print what is in force and what may be set.

mod access;
mod adoption;
mod data_dir;
mod database;
mod dotenv;
mod found;
mod home;
mod ini;
mod keys;
mod layers;
mod page;
mod services;
mod show;
#[cfg(test)]
mod tests;
mod types;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use decnet_core::delivery::RetrySchedule;
use hyper::Uri;
use ipnet::IpNet;

pub(crate) use self::access::Access;
pub(crate) use self::data_dir::of_services as services_data_dir;
use self::database::CATALOG;
pub(crate) use self::database::{Database, DatabaseKind};
pub(crate) use self::found::{Found, find};
use self::home::Home;
pub(crate) use self::layers::Inputs;
use self::layers::{Layers, Source};
pub(crate) use self::page::page;
pub(crate) use self::services::{ServiceFiles, services_database, units as service_units};
pub(crate) use self::show::Setting;
use self::types::Read;
pub(crate) use self::types::{duration as read_duration, show_duration, without_secrets};

/// Everything that was configured, checked.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The role of this host.
    pub(crate) mode: Mode,
    /// Does an agent refuse the master's commands?
    pub(crate) disallow_master: bool,
    /// Where the catalog and the queue live, unless the database is elsewhere. Not yet created.
    pub(crate) data_dir: PathBuf,
    /// Nobody named the data directory.
    pub(crate) is_data_dir_default: bool,
    /// Where `webhook_subscriptions` is.
    pub(crate) database: Database,
    /// No setting names the database.
    pub(crate) is_database_default: bool,
    /// The event bus.
    pub(crate) bus: Bus,
    /// The HTTP API.
    pub(crate) api: Api,
    /// How deliveries are attempted.
    pub(crate) delivery: Delivery,
    /// Which addresses may be dialled.
    pub(crate) egress: Egress,
    /// How long the queue keeps what.
    pub(crate) retention: Retention,
    /// Who may use the HTTP API, beside the tokens in the catalog; nobody, in a command that does not serve it.
    pub(crate) access: Access,
    /// What is logged, and how.
    pub(crate) log: Log,
    /// The collector that gets traces, if there is one.
    pub(crate) tracing: Option<Uri>,
    /// Where the worker offers its metrics on TCP, if it does.
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Names that requests there may carry, beside those of this host.
    pub(crate) metrics_hosts: Vec<String>,
}

/// `DECNET_MODE`.
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
    /// Is there one at all?
    pub(crate) enabled: bool,
    /// Its socket, where one is configured; see [`Bus::path`].
    pub(crate) socket: Option<PathBuf>,
    /// Its socket, where none is configured.
    pub(crate) default_socket: PathBuf,
    /// The group that may use the socket, where it exists.
    pub(crate) group: String,
    /// Users, by name or uid, who may have lossless queues beside root and the user of the bus.
    pub(crate) lossless_users: Vec<String>,
    /// The longest wait between two tries to reach a bus that is away.
    pub(crate) reconnect: Duration,
}

/// `DECNET_BUS_TYPE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BusKind {
    /// A UNIX socket with DECNET's protocol.
    Unix,
}

/// The HTTP API.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    /// Does `decnet serve` serve it?
    pub(crate) enabled: bool,
    /// An address, or a name of this host.
    pub(crate) host: String,
    /// 0 for a free one.
    pub(crate) port: u16,
    /// Are creations over DECNET's routes limited by address?
    pub(crate) limits_creations: bool,
}

/// How deliveries are attempted.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    /// Failed deliveries in a row that trip a subscription, at least 1.
    pub(crate) circuit_threshold: u32,
    /// Deliveries waiting for one subscription that are worth a warning; 0 for none.
    pub(crate) backlog_threshold: u64,
    /// The delays between attempts.
    pub(crate) schedule: RetrySchedule,
    /// Requests in flight to one subscription.
    pub(crate) concurrency: usize,
    /// Requests in flight over all subscriptions; at least as many.
    pub(crate) total_concurrency: usize,
    /// One deadline over an attempt.
    pub(crate) timeout: Duration,
}

/// Which addresses may be dialled.
#[derive(Debug, Clone)]
pub(crate) struct Egress {
    /// All addresses except link-local and metadata ones.
    pub(crate) allow_private: bool,
    /// These networks, whatever else is forbidden.
    pub(crate) allow: Vec<IpNet>,
}

/// How long the queue keeps what.
#[derive(Debug, Clone)]
pub(crate) struct Retention {
    /// What was delivered.
    pub(crate) delivered: Duration,
    /// What was given up.
    pub(crate) dead: Duration,
    /// What waits for a subscription that is tripped or disabled.
    pub(crate) parked: Duration,
    /// The queue's size in bytes above which the oldest final deliveries go.
    pub(crate) bytes: u64,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    /// A filter in the syntax of `tracing_subscriber::EnvFilter`; none for the command's own default.
    pub(crate) filter: Option<String>,
    /// For people or for programs.
    pub(crate) format: LogFormat,
}

/// `DECNET_LOG_FORMAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// A line to be read.
    Human,
    /// A JSON object a line.
    Json,
}

impl Config {
    /// Is this a host on which the master's commands refuse to run?
    #[must_use]
    pub(crate) fn is_agent(&self) -> bool {
        self.mode == Mode::Agent && self.disallow_master
    }

    /// The services' data directory, where this user has another one only because that is closed.
    pub(crate) fn closed_data_dir(&self) -> Option<&'static Path> {
        let services = data_dir::of_services();
        (self.is_data_dir_default && self.data_dir != services && services.is_dir()).then_some(services)
    }

    fn read(layers: &mut Layers, inputs: &Inputs) -> Self {
        let home = Home::find(inputs);
        let configured = layers.read(&keys::DATA_DIR);
        let is_data_dir_default = configured.is_none();
        let data_dir = configured.unwrap_or_else(|| data_dir::fallback(home.path()));
        let bus = Bus::read(layers, home.path());
        home.report([is_data_dir_default.then_some(&*data_dir), Some(bus.path())], layers);
        let database = read_database(layers, &data_dir);
        let is_named = layers.text(keys::DB_URL.info.name).is_some();
        Self {
            mode: layers.read(&keys::MODE),
            disallow_master: layers.read(&keys::DISALLOW_MASTER),
            is_database_default: !is_named && matches!(database, Database::Sqlite(_)),
            database,
            data_dir,
            is_data_dir_default,
            bus,
            api: Api::read(layers),
            delivery: Delivery::read(layers),
            egress: Egress {
                allow_private: layers.read(&keys::ALLOW_PRIVATE),
                allow: layers.read(&keys::ALLOW_CIDRS),
            },
            retention: Retention::read(layers),
            tracing: read_tracing(layers),
            metrics_listen: layers.read(&keys::METRICS_LISTEN),
            metrics_hosts: layers.read(&keys::METRICS_HOSTS),
            access: if inputs.serves_api { Access::read(layers, inputs) } else { Access::default() },
            log: Log { filter: layers.read(&keys::LOG), format: layers.read(&keys::LOG_FORMAT) },
        }
    }

    /// Warns of flags that are neither `true` nor `false`; DECNET reads them as one of the two.
    fn warn_of_odd_flags(&self, layers: &mut Layers) {
        for (key, value) in [
            (&keys::DISALLOW_MASTER, self.disallow_master),
            (&keys::BUS_ENABLED, self.bus.enabled),
            (&keys::LIMITER_ENABLED, self.api.limits_creations),
            (&keys::ALLOW_PRIVATE, self.egress.allow_private),
            (&keys::TRACING_ENABLED, self.tracing.is_some()),
        ] {
            let name = key.info.name;
            let text = layers.text(name).map(str::trim).unwrap_or_default();
            if !matches!(text.to_ascii_lowercase().as_str(), "" | "true" | "false") {
                let source = layers.source(name);
                layers.warning(format!(
                    "{name} ({source}) is `{text}`, which counts as {value}, as it does for DECNET; write true or false"
                ));
            }
        }
    }

    /// What no setting can say for itself.
    fn check(&self, layers: &mut Layers) {
        self.warn_of_odd_flags(layers);
        let Delivery { concurrency, total_concurrency, .. } = self.delivery;
        let (one, all) = (keys::CONCURRENCY.info.name, keys::TOTAL_CONCURRENCY.info.name);
        // The default is only a bound, which a smaller total goes before.
        if concurrency > total_concurrency && layers.source(one) != Source::Default {
            layers.problem(format!("{one} ({concurrency}) is more than {all} ({total_concurrency}) allows"));
        }
    }
}

/// The endpoint, where traces are wanted; else it may be one that only DECNET can use.
fn read_tracing(layers: &mut Layers) -> Option<Uri> {
    layers.read(&keys::TRACING_ENABLED).then(|| layers.read(&keys::OTEL_ENDPOINT))
}

/// The URL, or DECNET's single settings, or a file in the data directory.
fn read_database(layers: &mut Layers, data_dir: &Path) -> Database {
    let url = layers.read(&keys::DB_URL);
    let kind = layers.read(&keys::DB_TYPE);
    let (host, port) = (layers.read(&keys::DB_HOST), layers.read(&keys::DB_PORT));
    let (name, user) = (layers.read(&keys::DB_NAME), layers.read(&keys::DB_USER));
    match (url, kind) {
        (Some(database), _) => database,
        (None, DatabaseKind::Mysql) => Database::Server(format!("mysql://{user}@{host}:{port}/{name}")),
        (None, DatabaseKind::Sqlite) => Database::Sqlite(data_dir.join(CATALOG)),
    }
}

impl Bus {
    /// Where the bus is, or is to be: as configured, else by DECNET's rule.
    pub(crate) fn path(&self) -> &Path {
        self.socket.as_deref().unwrap_or(&self.default_socket)
    }

    fn read(layers: &mut Layers, home: &Path) -> Self {
        // With a second kind this no longer compiles: what is below is the UNIX socket's.
        let BusKind::Unix = layers.read(&keys::BUS_TYPE);
        Self {
            default_socket: decnet_bus::default_socket_path(home),
            enabled: layers.read(&keys::BUS_ENABLED),
            socket: layers.read(&keys::BUS_SOCKET),
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
            limits_creations: layers.read(&keys::LIMITER_ENABLED),
        }
    }
}

impl Delivery {
    fn read(layers: &mut Layers) -> Self {
        Self {
            circuit_threshold: layers.read(&keys::CIRCUIT_THRESHOLD),
            backlog_threshold: layers.read(&keys::BACKLOG_THRESHOLD),
            schedule: layers.read(&keys::RETRY_SCHEDULE),
            concurrency: layers.read(&keys::CONCURRENCY),
            total_concurrency: layers.read(&keys::TOTAL_CONCURRENCY),
            timeout: layers.read(&keys::TIMEOUT),
        }
    }
}

impl Retention {
    fn read(layers: &mut Layers) -> Self {
        Self {
            delivered: layers.read(&keys::RETAIN_DELIVERED),
            dead: layers.read(&keys::RETAIN_DEAD),
            parked: layers.read(&keys::RETAIN_PARKED),
            bytes: layers.read(&keys::RETAIN_BYTES),
        }
    }
}

impl Mode {
    pub(crate) fn read(text: &str) -> Read<Self> {
        match text.to_ascii_lowercase().as_str() {
            "master" => Ok(Self::Master),
            "agent" => Ok(Self::Agent),
            _ => Err(format!("is master or agent, not `{text}`")),
        }
    }
}

impl BusKind {
    fn read(text: &str) -> Read<Self> {
        match text.to_ascii_lowercase().as_str() {
            "unix" => Ok(Self::Unix),
            "nats" => Err("is unix: this version has no NATS source yet".into()),
            "fake" => Err("is unix: `fake` lives within one Python process and cannot be joined".into()),
            _ => Err(format!("is unix, not `{text}`")),
        }
    }
}

impl LogFormat {
    fn read(text: &str) -> Read<Self> {
        match text.to_ascii_lowercase().as_str() {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err(format!("is human or json, not `{text}`")),
        }
    }
}
