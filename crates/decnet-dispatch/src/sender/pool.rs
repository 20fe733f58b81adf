//! Connections that wait for their next request, by origin.
//!
//! HTTP/1.1 connections are a stack: the one used last is the one most likely still open, and the surplus at
//! the bottom ages out. An HTTP/2 origin has one connection that all requests share. A connection that has become too old
//! gets no further request, however busy it is, so that a new one finds out where the host's name leads now.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use decnet_core::limits::{CAUTION_AGE, MAX_IDLE_CONNECTIONS};
use rustc_hash::FxHashMap;
use tokio::sync::Mutex;

use super::request::Origin;
use super::tls::Protocols;
use super::{http1, http2};

/// A connection that has waited longer is looked at before it is used: see [`Lease::rested`]. Receivers let
/// idle connections live for seconds; under load a connection does not wait that long, and the look is saved.
const REST: Duration = Duration::from_millis(100);
/// Share of its greatest age by which a connection's own limit may be lower.
const AGE_JITTER: f64 = 0.25;
/// Share of the connections that are closed at once to make room, so that the search is paid once for many.
const CLOSED_SHARE: usize = 8;

/// A connection ready for a request.
pub(super) enum Connection {
    Http1(http1::Connection),
    Http2(http2::Connection),
}

/// How connections to an origin that misbehaves are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caution {
    /// Only HTTP/1.1 is offered: the receiver requires it, or sent too much over HTTP/2.
    Http1,
    /// Each is used for one request: the receiver sent bytes that belong to no reply, and they must not be taken for
    /// the next one.
    NoReuse,
}

/// What the pool knows of one origin.
pub(super) struct Slot {
    origin: Origin,
    idle: RefCell<Vec<Idle>>,
    shared: RefCell<Option<Shared>>,
    speaks_http1: Cell<bool>,
    /// Until when the origin is not offered HTTP/2.
    http1_until: Cell<Option<Instant>>,
    /// Until when no connection to the origin is used twice.
    closes_until: Cell<Option<Instant>>,
    /// Held while dialling an origin that may speak HTTP/2: its first connection serves all who wait.
    pub(super) dialling: Mutex<()>,
}

struct Idle {
    connection: http1::Connection,
    since: Instant,
    /// When it has waited too long for another request, or has become too old for it.
    until: Instant,
    expires_at: Instant,
}

struct Shared {
    connection: http2::Connection,
    number: u64,
    used_at: Instant,
    expires_at: Instant,
}

/// A connection taken from the pool or just made, and what to do with it afterwards.
pub(super) struct Lease {
    pub(super) connection: Connection,
    /// Has it served before? Then it may have gone stale while it waited.
    pub(super) reused: bool,
    /// Has it waited so long that its receiver may have closed it, and the word of that still lie unread? While
    /// a thread is busy it hears nothing of its sockets.
    pub(super) rested: bool,
    /// Tells shared connections apart; 0 for one that is not shared.
    pub(super) number: u64,
    /// When the connection has become too old for another request.
    expires_at: Instant,
}

/// All idle connections of a sender.
pub(super) struct Pool {
    slots: RefCell<FxHashMap<Origin, Rc<Slot>>>,
    idle_count: Cell<usize>,
    sweeping: Cell<bool>,
    last_number: Cell<u64>,
    max_idle_per_receiver: usize,
    idle_age: Duration,
    max_age: Duration,
}

impl Caution {
    fn effect(self) -> &'static str {
        match self {
            Self::Http1 => "using HTTP/1.1",
            Self::NoReuse => "using each connection once",
        }
    }
}

impl Slot {
    fn new(origin: Origin) -> Self {
        Self {
            origin,
            idle: RefCell::default(),
            shared: RefCell::default(),
            speaks_http1: Cell::new(false),
            http1_until: Cell::new(None),
            closes_until: Cell::new(None),
            dialling: Mutex::default(),
        }
    }

    /// Returns whether a second connection may be dialled beside one that is being dialled.
    pub(super) fn dials_freely(&self) -> bool {
        !self.origin.https || self.speaks_http1.get() || self.protocols() == Protocols::Http1
    }

    /// Returns the protocols to offer on a new connection.
    pub(super) fn protocols(&self) -> Protocols {
        if is_ahead(&self.http1_until) { Protocols::Http1 } else { Protocols::Both }
    }

    /// Takes a precaution for [`CAUTION_AGE`], and logs it unless it is taken already.
    pub(super) fn take_caution(&self, caution: Caution) {
        let (until, text) = match caution {
            Caution::Http1 => {
                (&self.http1_until, "sent more over HTTP/2 than its replies hold, or requires HTTP/1.1")
            }
            Caution::NoReuse => (&self.closes_until, "sent bytes that belong to no reply"),
        };
        if !is_ahead(until) {
            let (origin, minutes) = (&self.origin, CAUTION_AGE.as_secs() / 60);
            tracing::warn!(%origin, "the receiver {text}; {} for {minutes} min", caution.effect());
        }
        until.set(Some(Instant::now() + CAUTION_AGE));
    }

    /// Drops a shared connection, and remembers its origin if that sent too much.
    fn retire(&self, shared: &Shared) {
        if shared.connection.is_flooded() {
            self.take_caution(Caution::Http1);
        }
    }

    fn is_idle(&self) -> bool {
        self.idle.borrow().is_empty() && self.shared.borrow().is_none()
    }

    fn is_under_caution(&self) -> bool {
        is_ahead(&self.http1_until) || is_ahead(&self.closes_until)
    }
}

impl Pool {
    /// `idle_age` bounds how long a connection waits for its next request, `max_age` how old it is when it gets one.
    pub(super) fn new(max_idle_per_receiver: usize, idle_age: Duration, max_age: Duration) -> Rc<Self> {
        Rc::new(Self {
            slots: RefCell::default(),
            idle_count: Cell::new(0),
            sweeping: Cell::new(false),
            last_number: Cell::new(0),
            max_idle_per_receiver,
            idle_age,
            max_age,
        })
    }

    pub(super) fn slot(&self, origin: &Origin) -> Rc<Slot> {
        if let Some(slot) = self.slots.borrow().get(origin) {
            return Rc::clone(slot);
        }
        let slot = Rc::new(Slot::new(origin.clone()));
        self.slots.borrow_mut().insert(origin.clone(), Rc::clone(&slot));
        slot
    }

    /// A connection that is open as far as we know and has not waited too long.
    pub(super) fn take(&self, slot: &Slot) -> Option<Lease> {
        if let Some(lease) = self.share(slot) {
            return Some(lease);
        }
        let now = Instant::now();
        let mut idle = slot.idle.borrow_mut();
        while let Some(Idle { mut connection, since, until, expires_at }) = idle.pop() {
            self.idle_count.set(self.idle_count.get() - 1);
            if now >= until {
                connection.close();
            } else if !connection.is_stale() {
                let rested = now.duration_since(since) >= REST;
                let connection = Connection::Http1(connection);
                return Some(Lease { connection, reused: true, rested, number: 0, expires_at });
            }
        }
        None
    }

    /// The connection that all requests to an HTTP/2 origin share, if there is one. One that is too old is let go: it
    /// ends, with a `GOAWAY`, when the requests on it are done.
    pub(super) fn share(&self, slot: &Slot) -> Option<Lease> {
        let mut shared = slot.shared.borrow_mut();
        let current = shared.as_mut()?;
        let now = Instant::now();
        let waited = now.duration_since(current.used_at);
        if current.connection.is_closed() || waited >= self.idle_age || now >= current.expires_at {
            slot.retire(current);
            *shared = None;
            return None;
        }
        current.used_at = now;
        let (connection, number) = (Connection::Http2(current.connection.clone()), current.number);
        let expires_at = current.expires_at;
        Some(Lease { connection, reused: true, rested: waited >= REST, number, expires_at })
    }

    /// Takes a fresh connection into use; an HTTP/2 one is shared from now on.
    pub(super) fn adopt(self: &Rc<Self>, slot: &Slot, connection: Connection) -> Lease {
        slot.speaks_http1.set(matches!(connection, Connection::Http1(_)));
        let used_at = Instant::now();
        let expires_at = used_at + self.max_age.mul_f64(1.0 - AGE_JITTER * fastrand::f64());
        let Connection::Http2(fresh) = &connection else {
            return Lease { connection, reused: false, rested: false, number: 0, expires_at };
        };
        let number = self.last_number.get() + 1;
        self.last_number.set(number);
        let shared = Shared { connection: fresh.clone(), number, used_at, expires_at };
        *slot.shared.borrow_mut() = Some(shared);
        self.keep_sweeping();
        Lease { connection, reused: false, rested: false, number, expires_at }
    }

    /// Takes a connection back after a whole reply, if it can serve again.
    pub(super) fn give_back(self: &Rc<Self>, slot: &Slot, lease: Lease) {
        if let Connection::Http1(connection) = lease.connection
            && connection.is_reusable()
        {
            self.put(slot, connection, lease.expires_at);
        }
    }

    /// Shares an HTTP/2 connection no longer: what was asked of it did not come in time, so it may be dead.
    /// Requests that still wait on it go on.
    pub(super) fn distrust(slot: &Slot, number: u64) {
        slot.shared.borrow_mut().take_if(|current| current.number == number);
    }

    fn put(self: &Rc<Self>, slot: &Slot, connection: http1::Connection, expires_at: Instant) {
        let (mut idle, since) = (slot.idle.borrow_mut(), Instant::now());
        let age = connection.kept_for().map_or(self.idle_age, |age| age.min(self.idle_age));
        let until = expires_at.min(since + age);
        if idle.len() >= self.max_idle_per_receiver || since >= until || is_ahead(&slot.closes_until) {
            return connection.close();
        }
        idle.push(Idle { connection, since, until, expires_at });
        drop(idle);
        self.idle_count.set(self.idle_count.get() + 1);
        if self.idle_count.get() > MAX_IDLE_CONNECTIONS {
            self.close_oldest();
        }
        self.keep_sweeping();
    }

    /// Closes some of the connections that wait for a request, those that have waited longest, to make room for another
    /// one. Returns whether there were any.
    pub(super) fn close_oldest(&self) -> bool {
        let mut times = Vec::with_capacity(self.idle_count.get());
        for slot in self.slots.borrow().values() {
            times.extend(slot.idle.borrow().iter().map(|idle| idle.since));
            times.extend(slot.shared.borrow().iter().map(|shared| shared.used_at));
        }
        if times.is_empty() {
            return false;
        }
        let last_closed = times.len() / CLOSED_SHARE;
        let (_, cutoff, _) = times.select_nth_unstable(last_closed);
        self.close_idle_until(*cutoff);
        true
    }

    /// Closes what has waited since `cutoff` or longer, and what has become too old.
    fn close_idle_until(&self, cutoff: Instant) {
        let (mut left, now) = (0, Instant::now());
        for slot in self.slots.borrow().values() {
            let mut idle = slot.idle.borrow_mut();
            let is_over = |idle: &mut Idle| idle.since <= cutoff || idle.until <= now;
            idle.extract_if(.., is_over).for_each(|idle| idle.connection.close());
            idle.retain_mut(|idle| !idle.connection.is_stale());
            left += idle.len();
            let mut shared = slot.shared.borrow_mut();
            let is_over = |shared: &Shared| shared.used_at <= cutoff || shared.expires_at <= now;
            let old = shared.take_if(|shared| is_over(shared) || shared.connection.is_closed());
            old.iter().for_each(|old| slot.retire(old));
        }
        self.idle_count.set(left);
    }

    /// Closes what nobody asks for any more, and forgets origins without connections.
    fn sweep(&self) {
        if let Some(cutoff) = Instant::now().checked_sub(self.idle_age) {
            self.close_idle_until(cutoff);
        }
        self.slots.borrow_mut().retain(|_, slot| {
            let in_use = Rc::strong_count(slot) > 1;
            in_use || !slot.is_idle() || slot.is_under_caution()
        });
    }

    /// Sweeps from time to time, as long as there is something to sweep.
    fn keep_sweeping(self: &Rc<Self>) {
        if !self.sweeping.replace(true) {
            tokio::task::spawn_local(sweep_until_empty(Rc::downgrade(self), self.idle_age / 2));
        }
    }
}

/// Returns whether a time is set and has not come.
fn is_ahead(until: &Cell<Option<Instant>>) -> bool {
    until.get().is_some_and(|until| Instant::now() < until)
}

async fn sweep_until_empty(pool: Weak<Pool>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(pool) = pool.upgrade() else { return };
        pool.sweep();
        if pool.slots.borrow().is_empty() {
            pool.sweeping.set(false);
            return;
        }
    }
}
