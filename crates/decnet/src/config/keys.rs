//! The table of all settings, used for reading them, for `decnet check`, for suggestions on misspelt names and for
//! docs/configuration.md.
#![expect(clippy::needless_update, reason = "one setting has a value for every field")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use decnet_core::delivery::RetrySchedule;
use decnet_core::limits::{MAX_CONCURRENCY, MAX_DEADLINE, MIN_DEADLINE};
use decnet_core::redact::{EndpointUrl, Secret};
use hyper::Uri;
use ipnet::IpNet;

use super::key::PLAIN;
pub(crate) use super::key::{Disclosure, Info, Key};
use super::types;
use super::{Database, DatabaseKind, LogFormat, Mode};

/// Defines the settings by group. Fields that are left out are those of [`PLAIN`].
macro_rules! keys {
    ($($group:literal { $($key:ident: $type:ty, $read:expr => { $($field:ident: $value:expr,)* })* })*) => {
        $($(pub(crate) static $key: Key<$type> =
            Key { info: Info { group: $group, $($field: $value,)* ..PLAIN }, read: $read };)*)*
        /// All settings, in the order in which they are shown.
        pub(crate) static ALL: &[&Info] = &[$($(&$key.info),*),*];
    };
}

/// The syntax of flags for which DECNET reads anything but `false` as true.
const UNLESS_FALSE: &str = "`false`; anything else is `true`";
/// The syntax of flags for which DECNET reads anything but `true` as false.
const ONLY_TRUE: &str = "`true`; anything else is `false`";

/// The syntax of the receivers that are reached without the proxy.
const EXCEPTIONS: &str = "domains, addresses and networks separated by commas, or `*`";

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
const TEN_YEARS: Duration = Duration::from_secs(3650 * 86_400);

keys! {
    "Host" {
        CONFIG: PathBuf, types::text => {
            name: "DECNET_CONFIG", form: "a path",
            meaning: "The path of the INI file; `/dev/null` for none. If unset: `/etc/decnet/decnet.ini`, if it exists.",
            reason: "Set it to keep the settings elsewhere. Only the environment can set it. `--config` takes \
                     precedence.",
        }
        MODE: Mode, |text| types::either(text, ("master", Mode::Master), ("agent", Mode::Agent)) => {
            name: "DECNET_MODE", default: "master", form: "`master` or `agent`",
            meaning: "The role of this host.",
            reason: "Set `agent` on hosts that only run decoys. Commands that need the catalog then refuse to run.",
        }
        DISALLOW_MASTER: bool, types::unless_false => {
            name: "DECNET_DISALLOW_MASTER", default: "true", form: UNLESS_FALSE,
            meaning: "Whether an agent refuses the master's commands.",
            reason: "Set `false` on a development host that has both roles.",
        }
    }
    "Storage" {
        DATA_DIR: PathBuf, types::text => {
            name: "DECNET_DATA_DIR", form: "a directory",
            meaning: "The directory of the catalog and the queue. If unset: `/var/lib/decnet` if it is writable, else \
                     `~/.decnet`.",
            reason: "Set it to put the queue on another disk, or to run a second instance. `--data-dir` takes \
                     precedence.",
        }
        DB_URL: Database, Database::from_url => {
            name: "DECNET_DB_URL", form: "`sqlite:///relative.db` or `sqlite:////absolute.db`",
            meaning: "The database that contains `webhook_subscriptions`. If unset: `decnet.db` in the data directory. \
                     If that file does not exist: `decnet.db` in the working directory, if it has DECNET's table.",
            reason: "Set it to share the catalog of an existing DECNET installation. SQLAlchemy's spellings \
                     (`sqlite+aiosqlite:///…`) are accepted. DECNET itself does not read this setting for SQLite: its \
                     file is always `decnet.db` in its installation directory. Changing the setting moves our catalog \
                     and not DECNET's. A relative path is resolved against the working directory, which must not be \
                     writable by other users.",
            ini: Some(("database", "url")), disclosure: Disclosure::WithoutPassword,
        }
        KEY_FILE: PathBuf, types::text => {
            name: "DECNET_WEBHOOK_KEY_FILE", form: "a path",
            meaning: "The file with the keys that encrypt headers, credentials and replaced secrets in the catalog: 32 random \
                     bytes in base64 per line. The first key encrypts, all decrypt. If unset: `decnet-webhook-key` in \
                     `$CREDENTIALS_DIRECTORY`, if it exists; otherwise new secrets are stored unencrypted.",
            reason: "Set it so that a copy of the database alone does not reveal these secrets: `decnet key create`. Only \
                     its owner may access the file. Keep a copy elsewhere, since backups do not contain it.",
        }
        DB_TYPE: DatabaseKind, |text| types::either(text, ("sqlite", DatabaseKind::Sqlite), ("mysql", DatabaseKind::Mysql)) => {
            name: "DECNET_DB_TYPE", default: "sqlite", form: "`sqlite` or `mysql`",
            meaning: "The kind of database, if `DECNET_DB_URL` is not set.",
            reason: "Accepted for compatibility with DECNET. This version opens only SQLite and rejects MySQL with an \
                     error.",
            ini: Some(("database", "type")),
        }
        DB_HOST: String, types::text => {
            name: "DECNET_DB_HOST", default: "localhost", form: "a host name or address",
            meaning: "The host of the MySQL server.",
            reason: "Accepted for compatibility with DECNET, like `DECNET_DB_TYPE`.",
            ini: Some(("database", "host")),
        }
        DB_PORT: u16, |text| types::integer(text, 1, u16::MAX) => {
            name: "DECNET_DB_PORT", default: "3306", form: "a port",
            meaning: "The port of the MySQL server.",
            reason: "Accepted for compatibility with DECNET, like `DECNET_DB_TYPE`.",
            ini: Some(("database", "port")),
        }
        DB_NAME: String, types::text => {
            name: "DECNET_DB_NAME", default: "decnet", form: "a name",
            meaning: "The name of the MySQL database.",
            reason: "Accepted for compatibility with DECNET, like `DECNET_DB_TYPE`.",
            ini: Some(("database", "name")),
        }
        DB_USER: String, types::text => {
            name: "DECNET_DB_USER", default: "decnet", form: "a name",
            meaning: "The MySQL user.",
            reason: "Accepted for compatibility with DECNET, like `DECNET_DB_TYPE`.",
            ini: Some(("database", "user")),
        }
        DB_PASSWORD: String, types::text => {
            name: "DECNET_DB_PASSWORD", form: "a secret",
            meaning: "The password of the MySQL user.",
            reason: "Accepted for compatibility with DECNET, like `DECNET_DB_TYPE`.",
            disclosure: Disclosure::Never,
        }
    }
    "Bus" {
        BUS_ENABLED: bool, types::unless_false => {
            name: "DECNET_BUS_ENABLED", default: "true", form: UNLESS_FALSE,
            meaning: "Whether a bus is used at all.",
            reason: "Set `false` if only the catalog is used. No command then connects to a bus.",
            ini: Some(("bus", "enabled")),
        }
        BUS_TYPE: (), types::bus_kind => {
            name: "DECNET_BUS_TYPE", default: "unix", form: "`unix`",
            meaning: "The kind of bus.",
            reason: "This version has one kind. `nats` is rejected with an error.",
            ini: Some(("bus", "type")),
        }
        BUS_SOCKET: PathBuf, types::text => {
            name: "DECNET_BUS_SOCKET", form: "a path",
            meaning: "The socket of the bus. If unset: `/run/decnet/bus.sock` if `/run/decnet` is writable, else \
                     `~/.decnet/bus.sock`. Under `decnet serve`: `bus.sock` in the data directory.",
            reason: "Set it to use a bus at another path, or to run two buses on one host.",
            ini: Some(("bus", "socket")),
        }
        BUS_GROUP: String, types::text => {
            name: "DECNET_BUS_GROUP", default: "decnet", form: "the name of a group",
            meaning: "The group that may use the socket, if that group exists. The mode of the socket is 0660.",
            reason: "Set it if the publishers run under another group. Under `decnet serve`, set `DECNET_BUS_SOCKET` \
                     too: other users cannot enter the data directory.",
            ini: Some(("bus", "group")),
        }
        BUS_LOSSLESS_USERS: Vec<String>, |text| types::list(text, types::text) => {
            name: "DECNET_BUS_LOSSLESS_USERS", form: "names or uids of local users, separated by commas",
            meaning: "The users whose workers may have lossless queues, in addition to root and the user of the bus. \
                     The bus applies backpressure to publishers for such a queue and keeps its events while the worker \
                     is disconnected.",
            reason: "Name the user of `decnet webhook` if it is neither root nor the user of the bus. A worker that is \
                     refused a lossless queue uses one that can lose events, and reports that it is degraded.",
            ini: Some(("bus", "lossless-users")),
        }
        RECONNECT: Duration, |text| types::seconds_clamped(text, 5 * SECOND, HOUR) => {
            name: "DECNET_WEBHOOK_BUS_RECONNECT_SECS", default: "60s",
            form: "seconds (also `1e2` or `inf`) or a duration; less than 5s counts as 5s, more than 1h as 1h",
            meaning: "The longest wait between two attempts to connect to an unavailable bus. The first attempts are \
                     much closer together.",
            reason: "Lower it if the worker must reconnect sooner after a long outage of the bus.",
        }
    }
    "API" {
        API_ENABLED: bool, types::boolean => {
            name: "DECNET_API_ENABLED", default: "true", form: "`true` or `false`",
            meaning: "Whether `decnet serve` also serves the HTTP API. `decnet api` always serves it.",
            reason: "Set `false` if nothing uses the API, or if another process serves it. `--no-api` takes precedence.",
            ini: Some(("api", "enabled")),
        }
        API_HOST: String, types::text => {
            name: "DECNET_API_HOST", default: "127.0.0.1", form: "an address, or a host name of this machine",
            meaning: "The address on which the HTTP API listens.",
            reason: "Set `0.0.0.0` or `::` to accept connections from other hosts. Put a proxy with TLS in front of the \
                     API: requests carry tokens.",
            ini: Some(("api", "host")),
        }
        API_PORT: u16, |text| types::integer(text, 0, u16::MAX) => {
            name: "DECNET_API_PORT", default: "8000", form: "a whole number, 0 to 65535; 0 selects a free port",
            meaning: "The port of the HTTP API.",
            reason: "Set it if another program uses the port, as DECNET's own API may.",
            ini: Some(("api", "port")),
        }
        LIMITER_ENABLED: bool, types::unless_false => {
            name: "DECNET_LIMITER_ENABLED", default: "true", form: UNLESS_FALSE,
            meaning: "Whether an address may create at most 20 subscriptions per minute over `/api/v1/webhooks`, as in \
                     DECNET.",
            reason: "Set `false` while a script creates many subscriptions. The limits per token and per address \
                     remain.",
        }
        JWT_SECRET: Secret, types::jwt_secret => {
            name: "DECNET_JWT_SECRET", form: "a secret of at least 32 characters",
            meaning: "The secret with which DECNET's dashboard signs its sessions. If it is set, the API accepts those \
                     sessions too.",
            reason: "Set it to DECNET's value so that DECNET's web page works with this API.",
            disclosure: Disclosure::Never,
        }
        JWT_SECRET_FILE: PathBuf, types::text => {
            name: "DECNET_JWT_SECRET_FILE", form: "a path",
            meaning: "A file whose first line is DECNET's session secret, read if `DECNET_JWT_SECRET` is not set. If \
                     unset: `decnet-jwt-secret` in `$CREDENTIALS_DIRECTORY`, if it exists.",
            reason: "Set it to keep the secret out of the environment. With systemd, \
                     `LoadCredential=decnet-jwt-secret:…` in the unit is enough.",
        }
        CORS_ORIGINS: Vec<String>, |text| types::list(text, types::origin) => {
            name: "DECNET_CORS_ORIGINS", form: "origins separated by commas",
            meaning: "The origins of web pages whose scripts may read the API's responses (CORS). If unset: none.",
            reason: "Name the origin of a dashboard that is served from elsewhere: `https://dashboard.example`. A \
                     wildcard is rejected.",
            ini: Some(("web", "cors-origins")),
        }
        DASHBOARD_ORIGINS: Vec<String>, |text| types::list(text, types::origin) => {
            name: "DECNET_DASHBOARD_ORIGINS", form: "origins separated by commas",
            meaning: "The origins under which a proxy serves the dashboard. It is always served under the server's \
                     addresses and `localhost`. Messages of formats such as `slack` link to the first origin. If \
                     unset: no others, and no links.",
            reason: "Name the origin that the browser shows: `https://hooks.example`. Other names are rejected, so that \
                     a foreign name that leads to this server cannot use the dashboard.",
        }
    }
    "Delivery" {
        CIRCUIT_THRESHOLD: u32, types::threshold => {
            name: "DECNET_WEBHOOK_CIRCUIT_THRESHOLD", default: "5", form: "a whole number; less than 1 counts as 1",
            meaning: "The number of consecutive failed deliveries that trips a subscription.",
            reason: "Raise it for receivers that often fail briefly. Lower it to send fewer requests to a failing \
                     receiver.",
        }
        RETRY_SCHEDULE: RetrySchedule, types::schedule => {
            name: "DECNET_WEBHOOK_RETRY_SCHEDULE", default: "1s,2s,4s,30s,2m,10m,1h,6h,1d",
            form: "durations separated by commas, or `none`",
            meaning: "The delays between the attempts of one delivery. Jitter changes each delay by up to 20 %.",
            reason: "Shorten it if old events are worthless. Lengthen it to outlast longer outages.",
        }
        SEVERITY_FILE: PathBuf, types::text => {
            name: "DECNET_WEBHOOK_SEVERITY_FILE", form: "a path",
            meaning: "The file with the severities of events: a topic pattern and a severity per line, such as \
                     `credential.> = high`; the first matching line counts. If unset, the default table applies.",
            reason: "Set it to change which events `--min-severity` selects, and how messages are coloured. The file is \
                     read again with every reload of the subscriptions.",
        }
        BACKLOG_THRESHOLD: u64, |text| types::integer(text, 0, 1_000_000_000) => {
            name: "DECNET_WEBHOOK_BACKLOG_THRESHOLD", default: "10000", form: "a whole number; 0 disables the event",
            meaning: "The number of deliveries waiting for one subscription at which `system.webhook.backlog` is \
                     published. A first event is published at half of it.",
            reason: "Set it to the backlog at which an operator should intervene.",
        }
        CONCURRENCY: usize, |text| types::integer(text, 1, MAX_CONCURRENCY) => {
            name: "DECNET_WEBHOOK_CONCURRENCY", default: "64", form: "a whole number, 1 to 256",
            meaning: "The maximum number of requests in flight to one subscription. The limit starts at 2. It grows \
                     while it is used up and the receiver's latency does not rise. It is halved when the receiver \
                     answers 429 or 503, times out or refuses a connection.",
            reason: "Lower it for a receiver that does not signal overload, down to 1 for a receiver that wants one \
                     request at a time. Raise it for a fast receiver that is far away.",
        }
        TOTAL_CONCURRENCY: usize, |text| types::integer(text, 1, 65_536) => {
            name: "DECNET_WEBHOOK_TOTAL_CONCURRENCY", default: "256",
            form: "a whole number, 1 to 65536",
            meaning: "The maximum number of requests in flight across all subscriptions, shared fairly. A single busy \
                     subscription gets about a third of them, or a fifth while its receiver takes a second or more to \
                     answer.",
            reason: "Raise it for hundreds of slow receivers, together with the limit on open files.",
        }
        TIMEOUT: Duration, |text| types::duration_within(text, MIN_DEADLINE, MAX_DEADLINE) => {
            name: "DECNET_WEBHOOK_TIMEOUT", default: "10s", form: "a duration, 100ms to 5m",
            meaning: "The deadline of one attempt: resolving the name, connecting, sending the request and reading the \
                     response.",
            reason: "Raise it for a receiver that processes an event before it answers.",
        }
    }
    "Egress" {
        ALLOW_PRIVATE: bool, types::only_true => {
            name: "DECNET_WEBHOOK_ALLOW_PRIVATE", default: "false", form: ONLY_TRUE,
            meaning: "Whether private, loopback and other internal addresses may be receivers. Link-local addresses \
                     (`169.254.0.0/16`, `fe80::/10`) and cloud metadata addresses remain forbidden unless \
                     `DECNET_WEBHOOK_ALLOW_CIDRS` names them.",
            reason: "Set `true` if receivers are on the internal network and everyone who may create subscriptions is \
                     trusted with all of it. `DECNET_WEBHOOK_ALLOW_CIDRS` is narrower.",
        }
        ALLOW_CIDRS: Vec<IpNet>, |text| types::list(text, types::network) => {
            name: "DECNET_WEBHOOK_ALLOW_CIDRS", form: "networks separated by commas",
            meaning: "Networks whose addresses may be receivers although they are internal. A link-local address needs \
                     a network within its block, a cloud metadata address its exact `/32` or `/128`.",
            reason: "Name the network of an internal receiver: `10.1.0.0/16,fd00:1::/32`.",
        }
        PROXY: EndpointUrl, types::proxy => {
            name: "DECNET_WEBHOOK_PROXY", form: "an `http://` URL, with user and password if the proxy needs them",
            meaning: "The HTTP proxy through which receivers and token endpoints are reached (`CONNECT`). Addresses of \
                     receivers are still looked up and checked here, and the proxy is asked for the checked address. If \
                     unset, receivers are reached directly; `HTTPS_PROXY` is not used.",
            reason: "Set it if this host has no direct route to the receivers. The proxy must permit `CONNECT` to \
                     addresses: see [the proxy](production.md#an-http-proxy).",
            disclosure: Disclosure::Host,
        }
        PROXY_FILE: PathBuf, types::text => {
            name: "DECNET_WEBHOOK_PROXY_FILE", form: "a path",
            meaning: "A file whose first line is the URL of the proxy, read if `DECNET_WEBHOOK_PROXY` is not set.",
            reason: "Set it to keep the password of the proxy out of the environment.",
        }
        NO_PROXY: String, types::text => {
            name: "DECNET_WEBHOOK_NO_PROXY", form: EXCEPTIONS,
            meaning: "The receivers that are reached without the proxy. A domain includes its subdomains. Addresses and \
                     networks apply to URLs with literal addresses. Each may end with a port, such as `:8443`.",
            reason: "Name receivers on the internal network: `soc.example,10.0.0.0/8`.",
        }
        SHARED_NO_PROXY: String, types::text => {
            name: "NO_PROXY", form: EXCEPTIONS,
            meaning: "As `DECNET_WEBHOOK_NO_PROXY`, which takes precedence. Other programs use this name too, also in lower \
                     case.",
            reason: "Nothing needs to be set here if it is set for other programs.",
        }
    }
    "Retention" {
        RETAIN_DELIVERED: Duration, |text| types::duration_within(text, MINUTE, TEN_YEARS) => {
            name: "DECNET_WEBHOOK_RETAIN_DELIVERED", default: "7d", form: "a duration, 1m to 3650d",
            meaning: "The time for which a delivered delivery stays listed.",
            reason: "Raise it to keep a longer record. Lower it to save disk space.",
        }
        RETAIN_DEAD: Duration, |text| types::duration_within(text, MINUTE, TEN_YEARS) => {
            name: "DECNET_WEBHOOK_RETAIN_DEAD", default: "30d", form: "a duration, 1m to 3650d",
            meaning: "The time for which a dead delivery can be redelivered.",
            reason: "Raise it if failures are reviewed less than once a month.",
        }
        RETAIN_PARKED: Duration, |text| types::duration_within(text, MINUTE, TEN_YEARS) => {
            name: "DECNET_WEBHOOK_RETAIN_PARKED", default: "30d", form: "a duration, 1m to 3650d",
            meaning: "The time for which a delivery waits for a tripped or disabled subscription before it is dead \
                     (`expired`).",
            reason: "Lower it if a receiver that recovers should not get old events.",
        }
        RETAIN_BYTES: u64, types::bytes => {
            name: "DECNET_WEBHOOK_RETAIN_BYTES", default: "10GiB", form: "a size",
            meaning: "The size of the queue above which the oldest final deliveries are deleted, then parked deliveries, \
                     regardless of age.",
            reason: "Set it to the disk space that the queue may use.",
        }
    }
    "Logs" {
        LOG: String, types::text => {
            name: "DECNET_LOG", form: "a level, or `target=level` separated by commas",
            meaning: "The messages that are logged. If unset: `info` for serve, api, webhook and bus, `warn` for other \
                     commands. `-v` and `-vv` take precedence.",
            reason: "Set `debug`, or `info,decnet_dispatch=debug`, to investigate a problem.",
        }
        LOG_FORMAT: LogFormat, |text| types::either(text, ("human", LogFormat::Human), ("json", LogFormat::Json)) => {
            name: "DECNET_LOG_FORMAT", default: "human", form: "`human` or `json`",
            meaning: "The format of log messages on stderr.",
            reason: "Set `json` if a log collector reads them.",
        }
    }
    "Observability" {
        METRICS_LISTEN: SocketAddr, types::address => {
            name: "DECNET_METRICS_LISTEN", form: "an address and a port, such as `127.0.0.1:9464`",
            meaning: "The address on which the worker serves `/metrics` over HTTP without authentication. If unset: \
                     metrics are available only on the socket `worker.sock` in the data directory and through the API.",
            reason: "Set it if Prometheus scrapes the worker directly. Listen on loopback or behind a firewall: there \
                     is no password, and the metrics contain the names of subscriptions.",
        }
        METRICS_HOSTS: Vec<String>, |text| types::list(text, types::host_name) => {
            name: "DECNET_METRICS_HOSTS", form: "host names separated by commas",
            meaning: "Host names that a request to `DECNET_METRICS_LISTEN` may carry, in addition to addresses, \
                     `localhost` and this host's own names. A request with another name in its `Host` header is answered with `421`.",
            reason: "Add the name that Prometheus on another host uses for this host. The check protects against DNS \
                     rebinding by web pages.",
        }
        TRACING_ENABLED: bool, types::only_true => {
            name: "DECNET_DEVELOPER_TRACING", default: "false", form: ONLY_TRUE,
            meaning: "Whether the worker sends traces and metrics to an OpenTelemetry collector. Each event is one \
                     trace, from its publication to the receivers' responses.",
            reason: "Set `true` if a collector is running. Spans that the collector does not accept in time are \
                     dropped.",
            ini: Some(("tracing", "enabled")),
        }
        OTEL_ENDPOINT: Uri, types::otel_endpoint => {
            name: "DECNET_OTEL_ENDPOINT", default: "http://localhost:4317", form: "an `http://` URL",
            meaning: "The URL of the collector's OTLP endpoint (gRPC).",
            reason: "Set it if the collector is elsewhere. TLS is not supported: run a collector on this host as a \
                     relay.",
            ini: Some(("tracing", "otel-endpoint")), disclosure: Disclosure::Host,
        }
    }
}
