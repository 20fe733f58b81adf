//! The bus daemon: relays each event to all other connections that subscribed to it.
//!
//! In the order in which they handle an event:
//!
//! - `socket`: the socket file and its owner;
//! - `accept`, `peer`, `shares`: new connections, their users, and each user's share of the bus's resources;
//! - `connection`, `large_frames`: one client, which reads and writes many frames at a time;
//! - `hub`: adds id and time to the event, encodes it once and queues it for the recipients that `routes` finds;
//! - `routes`: the patterns of all connections, compiled;
//! - `outbound`, `queue`: the bounded queue of one reader; `memory_pressure`: the bound over all queues;
//! - `timeouts`: time limits for frames; `violation`: reasons for closing a connection;
//! - `backpressure`: publishers that wait until a [lossless reader](Lossless) has room;
//! - `widening`: lossless readers that get every event until they have applied a change of the subscriptions;
//! - `session_resume`: lossless readers that disconnect and reconnect;
//! - `counters`: losses, for the heartbeat.

mod accept;
mod backpressure;
mod batch;
mod connection;
mod counters;
mod event_id;
mod hub;
mod large_frames;
mod lossless;
mod memory_pressure;
mod outbound;
mod peer;
mod queue;
mod routes;
mod session_resume;
mod shares;
mod socket;
mod timeouts;
mod violation;
mod widening;

use std::os::unix::net::UnixListener as StdListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use decnet_core::limits::LIVENESS_INTERVAL;
use decnet_core::topic::system_topics::BUS_HEALTH_TOPIC;
use decnet_runtime::clock::now;
use decnet_runtime::foreign_access::ForeignAccess;
use decnet_runtime::liveness::Liveness;
use tokio_util::sync::CancellationToken;

use self::hub::Hub;
use self::socket::SocketFile;
use crate::losses::Losses;

pub(crate) use self::lossless::is_lossless;
pub use self::lossless::{LOSSLESS_CLIENT_NAME, Lossless};
pub use self::peer::Users;
pub use self::timeouts::FrameTimeouts;

/// The default interval of `system.bus.health`, as in DECNET.
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(10);
const HEALTH_TYPE: &str = "\"bus.health\"";

/// The options of a bus.
#[derive(Debug, Clone)]
pub struct Options {
    /// The path of the socket. Its directory must exist, belong to root or to this process's user, and be writable by its
    /// owner only. A directory `.decnet` is created with mode 0755.
    pub path: PathBuf,
    /// The local group (`/etc/group`) that may connect in addition to the owner, if it exists.
    pub group: Option<String>,
    /// The interval of `system.bus.health` events, at least a millisecond.
    pub heartbeat: Duration,
    /// The limits of lossless readers.
    pub lossless: Lossless,
    /// The users that may have lossless queues, and those that other users cannot starve.
    pub users: Users,
    /// The time limits for clients' frames.
    pub timeouts: FrameTimeouts,
    /// The liveness signal: beats while the bus is able to serve.
    pub liveness: Liveness,
}

impl Options {
    /// Returns the options of a bus at `path`, for the group `decnet`, with a heartbeat every 10 s.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            group: Some("decnet".to_owned()),
            heartbeat: DEFAULT_HEARTBEAT,
            lossless: Lossless::default(),
            users: Users::default(),
            timeouts: FrameTimeouts::default(),
            liveness: Liveness::default(),
        }
    }
}

/// The reason why a bus does not start or stops serving.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory of the socket does not exist.
    #[error(
        "the bus socket's directory {0} does not exist: create it, or let systemd do so (RuntimeDirectory=)"
    )]
    NoDirectory(PathBuf),
    /// Another user could replace the socket.
    #[error("another user could replace the bus socket: its directory {} {why}; or choose another directory", .path.display())]
    ForeignDirectory {
        /// The path of the directory.
        path: PathBuf,
        /// The reason why another user can change its entries.
        why: ForeignAccess,
    },
    /// A user that is to get lossless queues does not exist.
    #[error("user {0} does not exist in /etc/passwd: correct the name, or use the uid")]
    UnknownUser(String),
    /// The users cannot be read.
    #[error("cannot read /etc/passwd: {0}")]
    Users(std::io::Error),
    /// Another process listens on the socket.
    #[error("another process is listening on the bus socket {0}: stop it first, or choose another path")]
    InUse(PathBuf),
    /// Another bus in the same directory has not finished its start in time.
    #[error(
        "another bus in the directory of {0} has not finished starting: try again later, or stop that bus"
    )]
    Starting(PathBuf),
    /// A file at the path is not a socket. It is not removed.
    #[error("{0} exists and is not a socket: move it away, or choose another path for the bus")]
    NotASocket(PathBuf),
    /// The path does not fit a UNIX socket address, which holds about 107 bytes.
    #[error(
        "the bus socket's path {0} is not a valid socket address (too long, or contains NUL): choose a shorter path"
    )]
    BadPath(PathBuf),
    /// A system call failed.
    #[error("cannot {what} the bus socket {path}: {source}")]
    Io {
        /// The failed operation.
        what: &'static str,
        /// The path of the socket.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

/// A bus whose socket exists and accepts connections; [`Server::run`] serves them.
#[derive(Debug)]
pub struct Server {
    listener: StdListener,
    file: SocketFile,
    options: Options,
}

impl Server {
    /// Creates the socket with mode 0660, owned by the group if possible.
    ///
    /// Replaces a socket file on which no process listens. The file is removed when the server ends or is dropped, unless
    /// it has been replaced meanwhile.
    ///
    /// # Errors
    /// See [`Error`]; a bus that listens at the same path is not disturbed.
    pub fn bind(options: Options) -> Result<Self, Error> {
        let (listener, file) = socket::bind(&options.path, options.group.as_deref())?;
        Ok(Self { listener, file, options })
    }

    /// Serves until `shutdown`. Then writes the waiting events to readers that read, for a short time, and closes every
    /// connection.
    ///
    /// # Errors
    /// The runtime cannot use the listening socket.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Self { listener, file, options } = self;
        let in_use = |source| Error::Io { what: "serve", path: file.path().to_owned(), source };
        listener.set_nonblocking(true).map_err(in_use)?;
        let mut listener = tokio::net::UnixListener::from_std(listener).map_err(in_use)?;
        tracing::info!(socket = %file.path().display(), pid = std::process::id(), "the bus is listening");
        let hub = Arc::new(Hub::new(options.lossless, options.timeouts));
        let started = Instant::now();
        let publish_health = || {
            hub.publish_own(BUS_HEALTH_TOPIC, HEALTH_TYPE, &health(started.elapsed(), hub.counters.read()));
        };
        // Serving a client requires only that tasks are scheduled and that the hub's lock is available.
        let record_liveness = || {
            hub.await_lock();
            options.liveness.record_turn();
        };
        tokio::select! {
            () = accept::serve(&mut listener, &options.users, &hub, &shutdown) => {}
            () = every(options.heartbeat.max(Duration::from_millis(1)), publish_health) => {}
            () = every(LIVENESS_INTERVAL, record_liveness) => {}
        }
        drop(file);
        drop(listener);
        tracing::info!("the bus has stopped");
        Ok(())
    }
}

/// Calls `act` at once and then at every interval.
async fn every(interval: Duration, act: impl Fn()) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        act();
    }
}

/// Returns the heartbeat's payload: DECNET's three keys, followed by the loss counters.
fn health(uptime: Duration, losses: Losses) -> String {
    let now = now().0;
    let Losses { dropped_ordinary, dropped_lossless, publisher_pauses } = losses;
    format!(
        r#"{{"pid":{},"uptime_sec":{:.3},"ts":{}.{:06},"dropped_ordinary":{dropped_ordinary},"dropped_lossless":{dropped_lossless},"publisher_pauses":{publisher_pauses}}}"#,
        std::process::id(),
        uptime.as_secs_f64(),
        now / 1_000_000,
        now % 1_000_000,
    )
}
