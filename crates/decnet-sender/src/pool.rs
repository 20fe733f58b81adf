//! Open connections that wait for their next request, by origin.
//!
//! Idle HTTP/1.1 connections form a stack: the connection used last is the most likely to be still open, and the surplus
//! connections at the bottom expire. An HTTP/2 origin has one connection that all requests share. A connection that has reached
//! its maximum age gets no further request, so that a new connection follows changes of the host's addresses.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use decnet_core::limits::{MAX_IDLE_CONNECTIONS, PRECAUTION_TTL};
use rustc_hash::FxHashMap;
use tokio::sync::Mutex;

use crate::request::Origin;
use crate::response::{BodyEnd, ReplyHeaders, ReplyPrefix};
use crate::tls::Protocols;
use crate::{http1, http2};

/// The idle time after which a connection is checked before it is used: see [`PooledConnection::was_idle`]. Receivers keep
/// idle connections for seconds; under load a connection is not idle for that long, and no check is made.
const CHECK_AFTER_IDLE: Duration = Duration::from_millis(100);
/// The fraction of the maximum age by which a connection's own limit may be lower.
const AGE_JITTER: f64 = 0.25;
/// Divisor of the number of connections that [`Pool::close_oldest`] closes at once, so that one search serves several
/// requests.
const CLOSED_FRACTION: usize = 8;

/// A connection of either protocol, for one request.
pub(crate) enum Connection {
    Http1(http1::Connection),
    Http2(http2::Exchange),
}

impl Connection {
    /// Returns whether the whole request was written.
    pub(crate) fn is_sent(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.is_sent(),
            Self::Http2(exchange) => exchange.is_sent(),
        }
    }

    /// Sends the rest of the request after an early reply. Returns `false` if the connection was lost.
    pub(crate) async fn send_rest(&mut self, body: &[u8]) -> bool {
        match self {
            Self::Http1(connection) => connection.send_rest(body).await.is_ok(),
            Self::Http2(exchange) => exchange.send_rest().await.is_ok(),
        }
    }

    /// Sets whether the headers of the next reply are kept.
    pub(crate) fn keep_head(&mut self, is_kept: bool) {
        match self {
            Self::Http1(connection) => connection.keep_head(is_kept),
            Self::Http2(exchange) => exchange.keep_head(is_kept),
        }
    }

    /// Returns the headers of the reply; empty if they were not kept.
    pub(crate) fn reply_headers(&self) -> ReplyHeaders {
        match self {
            Self::Http1(connection) => connection.reply_headers(),
            Self::Http2(exchange) => exchange.reply_headers(),
        }
    }

    /// Reads the body of the reply, within limits, and adds its beginning to `prefix`.
    pub(crate) async fn read_body(&mut self, prefix: &mut ReplyPrefix) -> BodyEnd {
        match self {
            Self::Http1(connection) => connection.read_body(prefix).await,
            Self::Http2(exchange) => exchange.read_body(prefix).await,
        }
    }
}

/// A precaution against an origin that misbehaved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precaution {
    /// Only HTTP/1.1 is offered: the receiver requires it, or sent too much over HTTP/2.
    Http1,
    /// Each connection serves one request: the receiver sent bytes outside a reply, which must not be taken for
    /// the next reply.
    NoReuse,
}

/// The connections to one origin, and the precautions against it.
pub(crate) struct OriginState {
    origin: Origin,
    idle: RefCell<Vec<Idle>>,
    shared: RefCell<Option<Shared>>,
    speaks_http1: Cell<bool>,
    /// The end of [`Precaution::Http1`].
    http1_until: Cell<Option<Instant>>,
    /// The end of [`Precaution::NoReuse`].
    no_reuse_until: Cell<Option<Instant>>,
    /// The lock that is held while dialling an origin that may speak HTTP/2: its first connection serves all waiting requests.
    pub(crate) dialling: Mutex<()>,
}

struct Idle {
    connection: http1::Connection,
    since: Instant,
    /// The time at which the connection has been idle for too long or has reached its maximum age.
    until: Instant,
    expires_at: Instant,
}

struct Shared {
    connection: http2::Connection,
    number: u64,
    used_at: Instant,
    expires_at: Instant,
}

/// A connection taken from the pool or just opened, for one request.
pub(crate) struct PooledConnection {
    pub(crate) connection: Connection,
    /// Whether the connection has served a request before, so that the receiver may have closed it since then.
    pub(crate) reused: bool,
    /// Whether the connection was idle for so long that the receiver may have closed it and the reactor may not have run since.
    pub(crate) was_idle: bool,
    /// The number of a shared connection; 0 for a connection that is not shared.
    pub(crate) number: u64,
    /// The time at which the connection reaches its maximum age.
    expires_at: Instant,
}

/// All connections of a sender that are not used exclusively by a request.
#[derive(Default)]
pub(crate) struct Pool {
    origins: RefCell<FxHashMap<Origin, Rc<OriginState>>>,
    idle_count: Cell<usize>,
    sweeping: Cell<bool>,
    last_number: Cell<u64>,
    max_idle_per_receiver: usize,
    idle_age: Duration,
    max_age: Duration,
}

impl OriginState {
    fn new(origin: Origin) -> Self {
        Self {
            origin,
            idle: RefCell::default(),
            shared: RefCell::default(),
            speaks_http1: Cell::new(false),
            http1_until: Cell::new(None),
            no_reuse_until: Cell::new(None),
            dialling: Mutex::default(),
        }
    }

    /// Returns whether several connections may be dialled at the same time.
    pub(crate) fn may_dial_concurrently(&self) -> bool {
        !self.origin.https || self.speaks_http1.get() || self.protocols() == Protocols::Http1
    }

    /// Returns the protocols to offer on a new connection.
    pub(crate) fn protocols(&self) -> Protocols {
        if is_future(&self.http1_until) { Protocols::Http1 } else { Protocols::Both }
    }

    /// Takes a precaution for [`PRECAUTION_TTL`]. Logs it unless it is already in effect.
    pub(crate) fn take_precaution(&self, precaution: Precaution) {
        let (until, problem, remedy) = match precaution {
            Precaution::Http1 => (
                &self.http1_until,
                "sent more data over HTTP/2 than replies may hold, or requires HTTP/1.1",
                "using HTTP/1.1",
            ),
            Precaution::NoReuse => {
                (&self.no_reuse_until, "sent bytes outside a reply", "using each connection once")
            }
        };
        if !is_future(until) {
            let (origin, minutes) = (&self.origin, PRECAUTION_TTL.as_secs() / 60);
            tracing::warn!(%origin, "the receiver {problem}; {remedy} for {minutes} min");
        }
        until.set(Some(Instant::now() + PRECAUTION_TTL));
    }

    /// Takes a precaution if the receiver sent too much on a connection that is no longer shared.
    fn check_flood(&self, shared: &Shared) {
        if shared.connection.is_flooded() {
            self.take_precaution(Precaution::Http1);
        }
    }

    fn is_idle(&self) -> bool {
        self.idle.borrow().is_empty() && self.shared.borrow().is_none()
    }

    fn has_precaution(&self) -> bool {
        is_future(&self.http1_until) || is_future(&self.no_reuse_until)
    }
}

impl Pool {
    /// Creates a pool. `idle_age` is the longest time for which a connection is kept idle, `max_age` its maximum age when it
    /// gets a request.
    pub(crate) fn new(max_idle_per_receiver: usize, idle_age: Duration, max_age: Duration) -> Rc<Self> {
        Rc::new(Self { max_idle_per_receiver, idle_age, max_age, ..Self::default() })
    }

    /// Returns the state of an origin, which is created at its first use.
    pub(crate) fn origin(&self, origin: &Origin) -> Rc<OriginState> {
        if let Some(state) = self.origins.borrow().get(origin) {
            return Rc::clone(state);
        }
        let state = Rc::new(OriginState::new(origin.clone()));
        self.origins.borrow_mut().insert(origin.clone(), Rc::clone(&state));
        state
    }

    /// Returns an existing connection that has neither expired nor been closed, as far as is known.
    pub(crate) fn take(&self, origin: &OriginState) -> Option<PooledConnection> {
        if let Some(shared) = self.shared(origin) {
            return Some(shared);
        }
        let now = Instant::now();
        let mut idle = origin.idle.borrow_mut();
        while let Some(Idle { mut connection, since, until, expires_at }) = idle.pop() {
            self.idle_count.set(self.idle_count.get() - 1);
            if now >= until {
                connection.close();
            } else if !connection.is_stale() {
                let was_idle = now.duration_since(since) >= CHECK_AFTER_IDLE;
                let connection = Connection::Http1(connection);
                return Some(PooledConnection { connection, reused: true, was_idle, number: 0, expires_at });
            }
        }
        None
    }

    /// Returns the connection that all requests to an HTTP/2 origin share, if there is one. A connection that has expired is
    /// dropped: it ends with a `GOAWAY` when the requests on it are complete.
    pub(crate) fn shared(&self, origin: &OriginState) -> Option<PooledConnection> {
        let mut shared = origin.shared.borrow_mut();
        let current = shared.as_mut()?;
        let now = Instant::now();
        let idle = now.duration_since(current.used_at);
        if current.connection.is_closed() || idle >= self.idle_age || now >= current.expires_at {
            origin.check_flood(current);
            *shared = None;
            return None;
        }
        current.used_at = now;
        let connection = Connection::Http2(http2::Exchange::new(current.connection.clone()));
        let (number, expires_at) = (current.number, current.expires_at);
        let was_idle = idle >= CHECK_AFTER_IDLE;
        Some(PooledConnection { connection, reused: true, was_idle, number, expires_at })
    }

    /// Adds a new connection for a request. An HTTP/2 connection is shared from now on.
    pub(crate) fn add(self: &Rc<Self>, origin: &OriginState, connection: Connection) -> PooledConnection {
        origin.speaks_http1.set(matches!(connection, Connection::Http1(_)));
        let used_at = Instant::now();
        let expires_at = used_at + self.max_age.mul_f64(1.0 - AGE_JITTER * fastrand::f64());
        let mut number = 0;
        if let Connection::Http2(exchange) = &connection {
            number = self.last_number.get() + 1;
            self.last_number.set(number);
            let shared = exchange.connection().clone();
            *origin.shared.borrow_mut() = Some(Shared { connection: shared, number, used_at, expires_at });
            self.start_sweeping();
        }
        PooledConnection { connection, reused: false, was_idle: false, number, expires_at }
    }

    /// Returns a connection to the pool after a complete reply, if it can be reused.
    pub(crate) fn release(self: &Rc<Self>, origin: &OriginState, pooled: PooledConnection) {
        if let Connection::Http1(connection) = pooled.connection
            && connection.is_reusable()
        {
            self.keep_idle(origin, connection, pooled.expires_at);
        }
    }

    /// Stops sharing an HTTP/2 connection, since it may be dead. Requests that are waiting on it continue.
    pub(crate) fn stop_sharing(origin: &OriginState, number: u64) {
        origin.shared.borrow_mut().take_if(|current| current.number == number);
    }

    fn keep_idle(self: &Rc<Self>, origin: &OriginState, connection: http1::Connection, expires_at: Instant) {
        let (mut idle, since) = (origin.idle.borrow_mut(), Instant::now());
        let age = connection.idle_timeout().map_or(self.idle_age, |age| age.min(self.idle_age));
        let until = expires_at.min(since + age);
        if idle.len() >= self.max_idle_per_receiver || since >= until || is_future(&origin.no_reuse_until) {
            return connection.close();
        }
        idle.push(Idle { connection, since, until, expires_at });
        drop(idle);
        self.idle_count.set(self.idle_count.get() + 1);
        if self.idle_count.get() > MAX_IDLE_CONNECTIONS {
            self.close_oldest();
        }
        self.start_sweeping();
    }

    /// Closes the fraction of all connections that have been idle longest, to make room for another connection. Returns whether
    /// there were any idle connections.
    pub(crate) fn close_oldest(&self) -> bool {
        let mut times = Vec::with_capacity(self.idle_count.get());
        for origin in self.origins.borrow().values() {
            times.extend(origin.idle.borrow().iter().map(|idle| idle.since));
            times.extend(origin.shared.borrow().iter().map(|shared| shared.used_at));
        }
        if times.is_empty() {
            return false;
        }
        let last_closed = times.len() / CLOSED_FRACTION;
        let (_, cutoff, _) = times.select_nth_unstable(last_closed);
        self.close_idle_until(*cutoff);
        true
    }

    /// Closes the connections that have been idle since `cutoff` or longer, and the connections that have expired.
    fn close_idle_until(&self, cutoff: Instant) {
        let (mut left, now) = (0, Instant::now());
        for origin in self.origins.borrow().values() {
            let mut idle = origin.idle.borrow_mut();
            let must_close = |idle: &mut Idle| idle.since <= cutoff || idle.until <= now;
            idle.extract_if(.., must_close).for_each(|idle| idle.connection.close());
            idle.retain_mut(|idle| !idle.connection.is_stale());
            left += idle.len();
            let mut shared = origin.shared.borrow_mut();
            let must_close = |shared: &Shared| shared.used_at <= cutoff || shared.expires_at <= now;
            let old = shared.take_if(|shared| must_close(shared) || shared.connection.is_closed());
            old.iter().for_each(|old| origin.check_flood(old));
        }
        self.idle_count.set(left);
    }

    /// Closes idle and expired connections, and removes origins without connections and precautions.
    fn sweep(&self) {
        if let Some(cutoff) = Instant::now().checked_sub(self.idle_age) {
            self.close_idle_until(cutoff);
        }
        self.origins.borrow_mut().retain(|_, origin| {
            let in_use = Rc::strong_count(origin) > 1;
            in_use || !origin.is_idle() || origin.has_precaution()
        });
    }

    /// Starts the periodic sweep unless it is already running. The sweep ends when no origin is left.
    fn start_sweeping(self: &Rc<Self>) {
        if !self.sweeping.replace(true) {
            tokio::task::spawn_local(sweep_until_empty(Rc::downgrade(self), self.idle_age / 2));
        }
    }
}

/// Returns whether a time is set and in the future.
fn is_future(until: &Cell<Option<Instant>>) -> bool {
    until.get().is_some_and(|until| Instant::now() < until)
}

async fn sweep_until_empty(pool: Weak<Pool>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(pool) = pool.upgrade() else { return };
        pool.sweep();
        if pool.origins.borrow().is_empty() {
            pool.sweeping.set(false);
            return;
        }
    }
}
