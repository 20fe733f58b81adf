//! The one table of settings. Reading, `decnet check`, the search for misspelt names and
//! docs/configuration.md all follow from it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use decnet_core::access::JwtKey;
use decnet_core::delivery::RetrySchedule;
use decnet_core::limits::{MAX_CONCURRENCY, MAX_DEADLINE, MIN_DEADLINE};
use decnet_core::redact::Secret;
use hyper::Uri;
use ipnet::IpNet;

use super::types::{self, Read};
use super::{BusKind, Database, DatabaseKind, LogFormat, Mode};

/// A setting: what is said about it, and how its text becomes a value.
pub(crate) struct Key<T> {
    pub(crate) info: Info,
    pub(crate) read: fn(&str) -> Read<T>,
}

/// What is said about a setting.
pub(crate) struct Info {
    /// The heading that it stands under.
    pub(crate) group: &'static str,
    /// Its name in the environment.
    pub(crate) name: &'static str,
    /// What is in force without it; empty where nothing is, or where a rule decides.
    pub(crate) default: &'static str,
    /// What may be written.
    pub(crate) form: &'static str,
    /// What it sets, in a line.
    pub(crate) meaning: &'static str,
    /// Who would change it, and why.
    pub(crate) reason: &'static str,
    /// Its place in the INI file beside `[decnet]`, if it has one: section and key.
    pub(crate) ini: Option<(&'static str, &'static str)>,
    /// How much of its value may be shown.
    pub(crate) shown: Shown,
}

/// How much of a value may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// All of it.
    Whole,
    /// A URL, without its password.
    WithoutPassword,
    /// Scheme, host and port of a URL.
    Host,
    /// Nothing.
    Never,
}

const PLAIN: Info = Info {
    group: "",
    name: "",
    default: "",
    form: "",
    meaning: "",
    reason: "",
    ini: None,
    shown: Shown::Whole,
};

macro_rules! keys {
    ($($key:ident: $type:ty, $read:expr => $info:expr;)*) => {
        $(pub(crate) static $key: Key<$type> = Key { info: $info, read: $read };)*
        /// Every setting, in the order in which they are shown.
        pub(crate) static ALL: &[&Info] = &[$(&$key.info),*];
    };
}

const HOST: &str = "Host";
const STORAGE: &str = "Storage";
const BUS: &str = "Bus";
const API: &str = "API";
const DELIVERY: &str = "Delivery";
const EGRESS: &str = "Egress";
const RETENTION: &str = "Retention";
const LOGS: &str = "Logs";
const WATCHING: &str = "Watching it";

/// What may be written where DECNET takes anything but `false` for true.
const UNLESS_FALSE: &str = "`false`; anything else is `true`";
/// What may be written where DECNET takes anything but `true` for false.
const ONLY_TRUE: &str = "`true`; anything else is `false`";

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
const TEN_YEARS: Duration = Duration::from_secs(3650 * 86_400);

keys! {
    CONFIG: Option<PathBuf>, types::optional_path => Info {
        group: HOST, name: "DECNET_CONFIG", form: "a path",
        meaning: "The INI file. Without it: `/etc/decnet/decnet.ini`, where that exists.",
        reason: "Set it to keep the settings elsewhere. Only the environment can: it says where the rest is. \
                 `--config` wins over it.",
        ..PLAIN
    };
    MODE: Mode, Mode::read => Info {
        group: HOST, name: "DECNET_MODE", default: "master", form: "`master` or `agent`",
        meaning: "The role of this host.",
        reason: "Set `agent` on hosts that only run decoys: commands that need the catalog then refuse to run.",
        ini: Some(("decnet", "mode")), ..PLAIN
    };
    DISALLOW_MASTER: bool, types::unless_false => Info {
        group: HOST, name: "DECNET_DISALLOW_MASTER", default: "true", form: UNLESS_FALSE,
        meaning: "Whether an agent refuses the master's commands.",
        reason: "Set `false` on a development host that plays both roles.",
        ini: Some(("decnet", "disallow-master")), ..PLAIN
    };
    DATA_DIR: Option<PathBuf>, types::optional_path => Info {
        group: STORAGE, name: "DECNET_DATA_DIR", form: "a directory",
        meaning: "Where the catalog and the queue live. Without it: `/var/lib/decnet` where that can be \
                  written, else `~/.decnet`.",
        reason: "Set it to put the queue on another disk, or to run a second instance. `--data-dir` wins over it.",
        ..PLAIN
    };
    DB_URL: Option<Database>, optional_database => Info {
        group: STORAGE, name: "DECNET_DB_URL", form: "`sqlite:///relative.db` or `sqlite:////absolute.db`",
        meaning: "The database that holds `webhook_subscriptions`. Without it: `decnet.db` in the data directory; where \
                  that has none, `decnet.db` in the working directory, if that has DECNET's table.",
        reason: "Set it to share the catalog of an existing DECNET installation. SQLAlchemy's spellings \
                 (`sqlite+aiosqlite:///…`) are understood. DECNET itself does not read it for SQLite: its file is always \
                 `decnet.db` in its installation directory, so changing this moves our catalog and not DECNET's. A relative \
                 path is taken from the working directory, which nobody else may be able to write.",
        ini: Some(("database", "url")), shown: Shown::WithoutPassword, ..PLAIN
    };
    DB_TYPE: DatabaseKind, DatabaseKind::read => Info {
        group: STORAGE, name: "DECNET_DB_TYPE", default: "sqlite", form: "`sqlite` or `mysql`",
        meaning: "The kind of database, where `DECNET_DB_URL` is not set.",
        reason: "Known for DECNET's sake. This version opens SQLite only, and says so.",
        ini: Some(("database", "type")), ..PLAIN
    };
    DB_HOST: String, types::text => Info {
        group: STORAGE, name: "DECNET_DB_HOST", default: "localhost", form: "a host",
        meaning: "The MySQL server.", reason: "Known for DECNET's sake, like `DECNET_DB_TYPE`.",
        ini: Some(("database", "host")), ..PLAIN
    };
    DB_PORT: u16, |text| types::integer(text, 1, u16::MAX) => Info {
        group: STORAGE, name: "DECNET_DB_PORT", default: "3306", form: "a port",
        meaning: "The MySQL server's port.", reason: "Known for DECNET's sake, like `DECNET_DB_TYPE`.",
        ini: Some(("database", "port")), ..PLAIN
    };
    DB_NAME: String, types::text => Info {
        group: STORAGE, name: "DECNET_DB_NAME", default: "decnet", form: "a name",
        meaning: "The MySQL database.", reason: "Known for DECNET's sake, like `DECNET_DB_TYPE`.",
        ini: Some(("database", "name")), ..PLAIN
    };
    DB_USER: String, types::text => Info {
        group: STORAGE, name: "DECNET_DB_USER", default: "decnet", form: "a name",
        meaning: "The MySQL user.", reason: "Known for DECNET's sake, like `DECNET_DB_TYPE`.",
        ini: Some(("database", "user")), ..PLAIN
    };
    DB_PASSWORD: Option<String>, types::optional_text => Info {
        group: STORAGE, name: "DECNET_DB_PASSWORD", form: "a secret",
        meaning: "The MySQL user's password.", reason: "Known for DECNET's sake, like `DECNET_DB_TYPE`.",
        shown: Shown::Never, ..PLAIN
    };
    BUS_ENABLED: bool, types::unless_false => Info {
        group: BUS, name: "DECNET_BUS_ENABLED", default: "true", form: UNLESS_FALSE,
        meaning: "Whether there is a bus at all.",
        reason: "Set `false` where only the catalog is used: nothing then tries to connect.",
        ini: Some(("bus", "enabled")), ..PLAIN
    };
    BUS_TYPE: BusKind, BusKind::read => Info {
        group: BUS, name: "DECNET_BUS_TYPE", default: "unix", form: "`unix`",
        meaning: "The kind of bus.",
        reason: "There is one kind in this version; `nats` is refused with a clear error.",
        ini: Some(("bus", "type")), ..PLAIN
    };
    BUS_SOCKET: Option<PathBuf>, types::optional_path => Info {
        group: BUS, name: "DECNET_BUS_SOCKET", form: "a path",
        meaning: "The bus's socket. Without it: `/run/decnet/bus.sock` where `/run/decnet` can be written, else \
                  `~/.decnet/bus.sock`; under `decnet serve`, `bus.sock` in the data directory.",
        reason: "Set it to join a bus in another place, or to run two buses on one host.",
        ini: Some(("bus", "socket")), ..PLAIN
    };
    BUS_GROUP: String, types::text => Info {
        group: BUS, name: "DECNET_BUS_GROUP", default: "decnet", form: "a group's name",
        meaning: "The group that may use the socket, where that group exists; its mode is 0660.",
        reason: "Set it where the publishers run under another group. Under `decnet serve` set `DECNET_BUS_SOCKET` \
                 too: others cannot look into the data directory.",
        ini: Some(("bus", "group")), ..PLAIN
    };
    BUS_LOSSLESS_USERS: Vec<String>, types::names => Info {
        group: BUS, name: "DECNET_BUS_LOSSLESS_USERS", form: "names or uids of local users, separated by commas",
        meaning: "The users whose workers our bus makes publishers wait for, and for whom it keeps events while they are \
                  away, beside root and the user that the bus runs as.",
        reason: "Name the user of `decnet webhook` where that is neither. A worker that the bus refuses works with a queue \
                 that loses events, and says that it is degraded.",
        ini: Some(("bus", "lossless-users")), ..PLAIN
    };
    RECONNECT: Duration, |text| types::seconds_clamped(text, 5 * SECOND, HOUR) => Info {
        group: BUS, name: "DECNET_WEBHOOK_BUS_RECONNECT_SECS", default: "60s",
        form: "seconds, also as `1e2` or `inf`, or a duration; less than 5s counts as 5s, more than 1h as 1h",
        meaning: "The longest wait between two tries to reach a bus that is away; the first come much sooner.",
        reason: "Lower it where a long-lost bus must be noticed at once.",
        ..PLAIN
    };
    API_ENABLED: bool, types::boolean => Info {
        group: API, name: "DECNET_API_ENABLED", default: "true", form: "`true` or `false`",
        meaning: "Whether `decnet serve` serves the HTTP API besides. `decnet api` serves it in any case.",
        reason: "Set `false` where nothing uses the API, or another process serves it. `--no-api` wins over it.",
        ini: Some(("api", "enabled")), ..PLAIN
    };
    API_HOST: String, types::text => Info {
        group: API, name: "DECNET_API_HOST", default: "127.0.0.1", form: "an address, or a host name of this machine",
        meaning: "Where the HTTP API listens.",
        reason: "Set `0.0.0.0` or `::` for other hosts to reach it; put a proxy with TLS before it then: tokens go over it.",
        ini: Some(("api", "host")), ..PLAIN
    };
    API_PORT: u16, |text| types::integer(text, 0, u16::MAX) => Info {
        group: API, name: "DECNET_API_PORT", default: "8000", form: "a whole number, 0 to 65535; 0 takes a free port",
        meaning: "The port of the HTTP API.",
        reason: "Set it where something else has that port, as DECNET's own API may.",
        ini: Some(("api", "port")), ..PLAIN
    };
    LIMITER_ENABLED: bool, types::unless_false => Info {
        group: API, name: "DECNET_LIMITER_ENABLED", default: "true", form: UNLESS_FALSE,
        meaning: "Whether an address may make at most 20 subscriptions a minute over `/api/v1/webhooks`, as DECNET has it.",
        reason: "Set `false` while a script makes many. The limits by token and by address stay.",
        ..PLAIN
    };
    JWT_SECRET: Option<Secret>, jwt_secret => Info {
        group: API, name: "DECNET_JWT_SECRET", form: "a secret of at least 32 characters",
        meaning: "The secret that DECNET's dashboard signs its sessions with. With it, the API takes those sessions too.",
        reason: "Set it to the same value as DECNET's, so that its web page works against this API.",
        shown: Shown::Never, ..PLAIN
    };
    JWT_SECRET_FILE: Option<PathBuf>, types::optional_path => Info {
        group: API, name: "DECNET_JWT_SECRET_FILE", form: "a path",
        meaning: "A file with that secret on its first line, where `DECNET_JWT_SECRET` is not set. Without it: \
                  `decnet-jwt-secret` in `$CREDENTIALS_DIRECTORY`, where that exists.",
        reason: "Set it to keep the secret out of the environment. With systemd, `LoadCredential=decnet-jwt-secret:…` \
                 in the unit is enough.",
        ..PLAIN
    };
    CORS_ORIGINS: Vec<String>, types::origins => Info {
        group: API, name: "DECNET_CORS_ORIGINS", form: "origins separated by commas",
        meaning: "The web pages whose scripts may read the API's answers (CORS). Without it: none.",
        reason: "Name the origin of a dashboard that is served from elsewhere: `https://dashboard.example`. A wildcard \
                 is refused.",
        ini: Some(("web", "cors-origins")), ..PLAIN
    };
    CIRCUIT_THRESHOLD: u32, types::threshold => Info {
        group: DELIVERY, name: "DECNET_WEBHOOK_CIRCUIT_THRESHOLD", default: "5", form: "a whole number; less than 1 counts as 1",
        meaning: "Failed deliveries in a row that trip a subscription.",
        reason: "Raise it for receivers that often fail for a moment; lower it to spare a receiver in trouble.",
        ..PLAIN
    };
    RETRY_SCHEDULE: RetrySchedule, types::schedule => Info {
        group: DELIVERY, name: "DECNET_WEBHOOK_RETRY_SCHEDULE", default: "1s,2s,4s,30s,2m,10m,1h,6h,1d",
        form: "durations separated by commas, or `none`",
        meaning: "The delays between the attempts of one delivery, each moved by up to 20 %.",
        reason: "Shorten it where an old event is worth nothing; lengthen it to outlast longer outages.",
        ..PLAIN
    };
    BACKLOG_THRESHOLD: u64, |text| types::integer(text, 0, 1_000_000_000) => Info {
        group: DELIVERY, name: "DECNET_WEBHOOK_BACKLOG_THRESHOLD", default: "10000", form: "a whole number; 0 for no warning",
        meaning: "Deliveries waiting for one subscription at which `system.webhook.backlog` is published; a first time at \
                  half of them.",
        reason: "Set it to what a receiver may be behind before somebody should look.",
        ..PLAIN
    };
    CONCURRENCY: usize, |text| types::integer(text, 1, MAX_CONCURRENCY) => Info {
        group: DELIVERY, name: "DECNET_WEBHOOK_CONCURRENCY", default: "64", form: "a whole number, 1 to 256",
        meaning: "Most requests in flight to one subscription. There are 2 at first, more for as long as they are used up \
                  and the receiver's latency holds, and half as many when it answers 429 or 503, times out or refuses a \
                  connection.",
        reason: "Lower it to spare a receiver that does not say when it has enough, down to 1 for one that wants one request \
                 at a time; raise it for a fast receiver far away.",
        ..PLAIN
    };
    TOTAL_CONCURRENCY: usize, |text| types::integer(text, 1, 65_536) => Info {
        group: DELIVERY, name: "DECNET_WEBHOOK_TOTAL_CONCURRENCY", default: "256",
        form: "a whole number, 1 to 65536",
        meaning: "Requests in flight over all subscriptions, shared fairly: one alone gets about a third of them, or a fifth \
                  while its receiver takes a second or more to answer.",
        reason: "Raise it with hundreds of slow receivers (and the limit of open files with it).",
        ..PLAIN
    };
    TIMEOUT: Duration, |text| types::duration_within(text, MIN_DEADLINE, MAX_DEADLINE) => Info {
        group: DELIVERY, name: "DECNET_WEBHOOK_TIMEOUT", default: "10s", form: "a duration, 100ms to 5m",
        meaning: "One deadline over resolving, connecting, sending and reading the reply.",
        reason: "Raise it for a receiver that works on an event before it answers.",
        ..PLAIN
    };
    ALLOW_PRIVATE: bool, types::only_true => Info {
        group: EGRESS, name: "DECNET_WEBHOOK_ALLOW_PRIVATE", default: "false", form: ONLY_TRUE,
        meaning: "Lifts the guard that forbids private, loopback and other internal addresses, except link-local \
                  addresses (`169.254.0.0/16`, `fe80::/10`) and cloud metadata addresses.",
        reason: "Set `true` where receivers are on the internal network and whoever may create subscriptions \
                 is trusted with all of it. `DECNET_WEBHOOK_ALLOW_CIDRS` is narrower.",
        ..PLAIN
    };
    ALLOW_CIDRS: Vec<IpNet>, types::networks => Info {
        group: EGRESS, name: "DECNET_WEBHOOK_ALLOW_CIDRS", form: "networks separated by commas",
        meaning: "Lifts that guard for these networks only. A link-local address needs a network within its block, \
                  a cloud metadata address its exact `/32` or `/128`.",
        reason: "Name the network of an internal receiver: `10.1.0.0/16,fd00:1::/32`.",
        ..PLAIN
    };
    RETAIN_DELIVERED: Duration, |text| types::duration_within(text, MINUTE, TEN_YEARS) => Info {
        group: RETENTION, name: "DECNET_WEBHOOK_RETAIN_DELIVERED", default: "7d", form: "a duration, 1m to 3650d",
        meaning: "How long a delivered delivery stays listed.",
        reason: "Raise it to keep a record; lower it to save disk.",
        ..PLAIN
    };
    RETAIN_DEAD: Duration, |text| types::duration_within(text, MINUTE, TEN_YEARS) => Info {
        group: RETENTION, name: "DECNET_WEBHOOK_RETAIN_DEAD", default: "30d", form: "a duration, 1m to 3650d",
        meaning: "How long a dead delivery can still be redelivered.",
        reason: "Raise it where somebody looks at failures less than once a month.",
        ..PLAIN
    };
    RETAIN_PARKED: Duration, |text| types::duration_within(text, MINUTE, TEN_YEARS) => Info {
        group: RETENTION, name: "DECNET_WEBHOOK_RETAIN_PARKED", default: "30d", form: "a duration, 1m to 3650d",
        meaning: "How long a delivery waits for a tripped or disabled subscription before it is dead (`expired`).",
        reason: "Lower it where a receiver that comes back should not get old events.",
        ..PLAIN
    };
    RETAIN_BYTES: u64, types::bytes => Info {
        group: RETENTION, name: "DECNET_WEBHOOK_RETAIN_BYTES", default: "10GiB", form: "a size",
        meaning: "The queue's size above which the oldest final deliveries go, then parked ones, whatever their age.",
        reason: "Set it to what the disk can spare.",
        ..PLAIN
    };
    LOG: Option<String>, types::optional_text => Info {
        group: LOGS, name: "DECNET_LOG", form: "a level, or `target=level` separated by commas",
        meaning: "Which messages are logged. Without it: `info` for serve, webhook and bus, `warn` for the \
                  others. `-v` and `-vv` win over it.",
        reason: "Set `debug`, or `info,decnet_dispatch=debug`, to look into something.",
        ..PLAIN
    };
    LOG_FORMAT: LogFormat, LogFormat::read => Info {
        group: LOGS, name: "DECNET_LOG_FORMAT", default: "human", form: "`human` or `json`",
        meaning: "How messages are written to stderr.",
        reason: "Set `json` where a collector reads them.",
        ..PLAIN
    };
    METRICS_LISTEN: Option<SocketAddr>, types::optional_address => Info {
        group: WATCHING, name: "DECNET_METRICS_LISTEN", form: "an address and a port, such as `127.0.0.1:9464`",
        meaning: "Where the worker offers `/metrics` over HTTP, to whoever reaches it. Without it: only on the socket \
                  `worker.sock` in the data directory, and through the API.",
        reason: "Set it where a Prometheus scrapes the worker itself, on loopback or behind a firewall: there is no \
                 password, and the names of subscriptions are among what it shows.",
        ..PLAIN
    };
    METRICS_HOSTS: Vec<String>, types::host_names => Info {
        group: WATCHING, name: "DECNET_METRICS_HOSTS", form: "names of hosts separated by commas",
        meaning: "The names by which `DECNET_METRICS_LISTEN` may be asked, beside addresses, `localhost` and what this host calls \
                  itself. A request with another name in its `Host` header is answered `421`.",
        reason: "Name what a Prometheus elsewhere calls this host. The check keeps web pages out, whose names can be made to lead \
                 here.",
        ..PLAIN
    };
    TRACING_ENABLED: bool, types::only_true => Info {
        group: WATCHING, name: "DECNET_DEVELOPER_TRACING", default: "false", form: ONLY_TRUE,
        meaning: "Whether the worker sends traces and metrics to an OpenTelemetry collector: a trace an event, from its publication to the \
                  replies.",
        reason: "Set `true` where a collector runs. What comes faster than it takes is left out.",
        ini: Some(("tracing", "enabled")), ..PLAIN
    };
    OTEL_ENDPOINT: Uri, otel_endpoint => Info {
        group: WATCHING, name: "DECNET_OTEL_ENDPOINT", default: "http://localhost:4317", form: "an `http://` URL",
        meaning: "Where that collector speaks OTLP over gRPC.",
        reason: "Set it where the collector is elsewhere. TLS is not spoken: put a collector on this host in between.",
        ini: Some(("tracing", "otel-endpoint")), shown: Shown::Host
    };
}

/// The error is never shown: the value is a secret.
fn jwt_secret(text: &str) -> Read<Option<Secret>> {
    if text.is_empty() {
        return Ok(None);
    }
    let secret = Secret::new(text);
    JwtKey::new(&secret).map(|_| Some(secret)).map_err(|error| error.to_string())
}

fn otel_endpoint(text: &str) -> Read<Uri> {
    let shown = || types::without_secrets(text);
    let wrong =
        || format!("is an http:// URL without a user, such as http://localhost:4317, not `{}`", shown());
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let is_plain = uri.scheme_str() == Some("http") && uri.host().is_some() && !text.contains('@');
    if is_plain { Ok(uri) } else { Err(wrong()) }
}

fn optional_database(text: &str) -> Read<Option<Database>> {
    if text.is_empty() { Ok(None) } else { Database::from_url(text).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_ours() {
        for info in ALL {
            assert!(info.name.starts_with("DECNET_"), "{}", info.name);
            assert_eq!(ALL.iter().filter(|other| other.name == info.name).count(), 1, "{}", info.name);
            for text in [info.group, info.form, info.meaning, info.reason] {
                assert!(!text.is_empty(), "{} says too little", info.name);
            }
        }
    }
}
