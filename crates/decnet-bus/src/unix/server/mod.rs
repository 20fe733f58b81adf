//! The bus daemon: it takes events from every connection and hands each to all others that asked for it.
//!
//! In the order an event meets them:
//!
//! - `socket`, `accounts`: the file that clients connect to, and who owns it;
//! - `accept`, `peer`, `shares`: new connections, whose they are, and how much of the bus one user may take;
//! - `connection`, `large_frames`: one client, read many frames at a time and written many frames at a time;
//! - `hub`: the event gets id and time, is encoded once and goes to whom `routes` names;
//! - `routes`: the patterns of all connections, compiled;
//! - `outbound`, `queue`: what waits for one slow reader, bounded; `relief`: what waits for all of them, bounded;
//! - `timeouts`: how long a client may take over a frame; `violation`: why it is disconnected;
//! - `pause`: a publisher that waits until a [lossless reader](Lossless) has room;
//! - `freshness`: lossless readers that get everything until they have applied a change of the subscriptions;
//! - `succession`: lossless readers that come, go and come back;
//! - `tally`: what was lost over all that, for the heartbeat.

mod accept;
mod accounts;
mod batch;
mod connection;
mod event_id;
mod freshness;
mod hub;
mod large_frames;
mod lossless;
mod outbound;
mod pause;
mod peer;
mod queue;
mod relief;
mod routes;
mod shares;
mod socket;
mod succession;
mod tally;
mod timeouts;
mod violation;

use std::os::unix::net::UnixListener as StdListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use decnet_core::limits::PULSE_INTERVAL;
use decnet_core::pulse::Pulse;
use decnet_core::topic::own::BUS_HEALTH_TOPIC;
use tokio_util::sync::CancellationToken;

use self::hub::Hub;
use self::socket::SocketFile;
use crate::losses::Losses;

pub(crate) use self::lossless::is_lossless;
pub use self::lossless::{LOSSLESS_CLIENT_NAME, Lossless};
pub use self::peer::Users;
pub use self::timeouts::FrameTimeouts;

/// DECNET's interval of `system.bus.health`.
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(10);
const HEALTH_TYPE: &str = "\"bus.health\"";

/// What a bus is told at its start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The socket. Its directory must exist, belong to root or to this process's user, and be writable by nobody else; only
    /// one named `.decnet` is created, with mode 0755.
    pub path: PathBuf,
    /// The local group (`/etc/group`) that may connect besides the owner, where it exists.
    pub group: Option<String>,
    /// Time between two `system.bus.health` events, at least a millisecond.
    pub heartbeat: Duration,
    /// What is done for readers that must not miss anything.
    pub lossless: Lossless,
    /// Who may be such a reader, and who is never short because of other users.
    pub users: Users,
    /// How long clients may take over a frame.
    pub timeouts: FrameTimeouts,
    /// Beats while the bus is able to serve.
    pub pulse: Pulse,
}

impl Options {
    /// A bus at `path`, for the group `decnet`, with a heartbeat every 10 s.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            group: Some("decnet".to_owned()),
            heartbeat: DEFAULT_HEARTBEAT,
            lossless: Lossless::default(),
            users: Users::default(),
            timeouts: FrameTimeouts::default(),
            pulse: Pulse::default(),
        }
    }
}

/// Why a bus does not start or does not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory of the socket is missing.
    #[error(
        "the bus socket's directory {0} does not exist: create it, or let systemd do so (RuntimeDirectory=)"
    )]
    NoDirectory(PathBuf),
    /// Others could replace the socket.
    #[error(
        "the bus socket's directory {} is writable by its group or by others (mode {mode:04o}), who could put something \
         else in the socket's place: choose a directory that only its owner can write to, or make one of your own so \
         (chmod go-w)", .path.display()
    )]
    OpenDirectory {
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Another user could replace the socket.
    #[error(
        "the bus socket's directory {} belongs to user {owner}, who could put something else in the socket's place: run \
         the bus as that user, or choose a directory of your own", .path.display()
    )]
    ForeignDirectory {
        /// The directory.
        path: PathBuf,
        /// The uid of its owner.
        owner: u32,
    },
    /// A user who is to get lossless queues does not exist.
    #[error("there is no user {0} in /etc/passwd: correct the name, or use the uid")]
    UnknownUser(String),
    /// The users cannot be looked up.
    #[error("cannot read /etc/passwd: {0}")]
    Users(std::io::Error),
    /// Another bus is alive there.
    #[error("another process answers on the bus socket {0}: stop it first, or choose another path")]
    InUse(PathBuf),
    /// Another bus is starting in the same directory and does not get on.
    #[error("another bus has been starting beside {0} for a while: try again when it is up or gone")]
    Starting(PathBuf),
    /// A file that is no socket stands in the way and is left alone.
    #[error("{0} exists and is no socket: move it away, or choose another path for the bus")]
    NoSocket(PathBuf),
    /// UNIX socket addresses hold about 107 bytes.
    #[error(
        "the bus socket's path {0} is not usable as a socket address (too long, or with a NUL): choose a shorter one"
    )]
    BadPath(PathBuf),
    /// The system refused.
    #[error("cannot {what} the bus socket {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// A bus that listens, and whose socket is there to be connected to; [`Server::run`] makes it answer.
#[derive(Debug)]
pub struct Server {
    listener: StdListener,
    file: SocketFile,
    heartbeat: Duration,
    lossless: Lossless,
    users: Users,
    timeouts: FrameTimeouts,
    pulse: Pulse,
}

impl Server {
    /// Creates the socket: mode 0660, owned by the group where that is possible.
    ///
    /// A socket file that nobody answers on is replaced. The file is removed again when the server ends or
    /// is dropped, unless it has become somebody else's meanwhile.
    ///
    /// # Errors
    /// See [`Error`]; a bus that is alive at the same path is never disturbed.
    pub fn bind(options: Options) -> Result<Self, Error> {
        let Options { path, group, heartbeat, lossless, users, timeouts, pulse } = options;
        let (listener, file) = socket::bind(&path, group.as_deref())?;
        let heartbeat = heartbeat.max(Duration::from_millis(1));
        Ok(Self { listener, file, heartbeat, lossless, users, timeouts, pulse })
    }

    /// Serves until `shutdown`; then what already waits for readers that do read is written, for a moment,
    /// and every connection is closed.
    ///
    /// # Errors
    /// A listening socket that the runtime cannot use.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Self { listener, file, heartbeat, lossless, users, timeouts, pulse } = self;
        let in_use = |source| Error::Io { what: "serve", path: file.path().to_owned(), source };
        listener.set_nonblocking(true).map_err(in_use)?;
        let listener = tokio::net::UnixListener::from_std(listener).map_err(in_use)?;
        tracing::info!(socket = %file.path().display(), pid = std::process::id(), "the bus listens");
        let hub = Arc::new(Hub::new(lossless, timeouts));
        tokio::select! {
            () = accept::serve(&listener, &users, &hub, &shutdown) => {}
            () = beat(&hub, heartbeat) => {}
            () = live(&hub, &pulse) => {}
        }
        drop(file);
        drop(listener);
        tracing::info!("the bus has stopped");
        Ok(())
    }
}

/// Publishes the bus's own health, at once and then at every interval.
async fn beat(hub: &Hub, interval: Duration) {
    let started = Instant::now();
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        hub.publish_own(BUS_HEALTH_TOPIC, HEALTH_TYPE, &health(started.elapsed(), hub.losses()));
    }
}

/// DECNET's three keys as DECNET has them, and ours behind them.
fn health(uptime: Duration, losses: Losses) -> String {
    let Losses { dropped_ordinary, dropped_lossless, publisher_pauses } = losses;
    format!(
        r#"{{"pid":{},"uptime_sec":{:.3},"ts":{:.6},"dropped_ordinary":{dropped_ordinary},"dropped_lossless":{dropped_lossless},"publisher_pauses":{publisher_pauses}}}"#,
        std::process::id(),
        uptime.as_secs_f64(),
        since_epoch().as_secs_f64(),
    )
}

/// Beats as long as this task gets its turn and the hub can be had, which is all that serving a client takes.
async fn live(hub: &Hub, pulse: &Pulse) {
    let mut ticks = tokio::time::interval(PULSE_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        hub.reach();
        pulse.beat();
    }
}

/// The wall clock; a clock before 1970 counts as 1970.
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
