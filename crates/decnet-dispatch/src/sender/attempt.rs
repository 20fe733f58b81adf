//! The pipeline of one attempt.

use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use decnet_core::delivery::{Outcome, Reason, Timings};
use decnet_core::limits::{
    DEFAULT_DEADLINE, IDLE_CONNECTION_AGE, MAX_CONNECTION_AGE, MAX_IDLE_PER_RECEIVER, ROOTS_INTERVAL,
};
use decnet_core::time::UnixMicros;
use http::Request;
use http::header::{HeaderValue, InvalidHeaderValue};
use hyper::client::conn::TrySendError;
use rustls::pki_types::CertificateDer;

use super::connect::{Body, Connector, Step, seconds};
use super::egress::Guard;
use super::fault::Fault;
use super::http1;
use super::pool::{Connection, Lease, Pool, Slot};
use super::request::{Message, Target};
use super::resolve::Resolver;
use super::response::{self, End, Kept, Reply};
use super::sockets::Sockets;
use super::tls::{Roots, Tls};

/// How to send.
#[derive(Debug, Clone)]
pub struct Options {
    /// Over everything from the look-up of the name to the last byte of the reply, unless a target has its own.
    pub deadline: Duration,
    /// Where requests may go.
    pub guard: Guard,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// Idle HTTP/1.1 connections kept to one receiver.
    pub max_idle_per_receiver: usize,
    /// How long an idle connection is kept.
    pub idle_age: Duration,
    /// Age at which a connection gets no further request; each has a limit of its own, up to a quarter lower.
    pub max_connection_age: Duration,
    /// Sockets open at once, idle connections and look-ups of names included.
    pub max_sockets: usize,
    /// Who turns host names into addresses.
    pub resolver: Resolver,
    /// Where the trusted root certificates come from.
    pub roots: Roots,
    /// Root certificates (DER) trusted beside those.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// Shortest time between two readings of the trusted roots; an unknown issuer causes one.
    pub roots_interval: Duration,
}

/// Why there can be no sender.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A text that cannot stand in a header.
    #[error("the user agent cannot stand in a header; use printable ASCII")]
    UserAgent(#[from] InvalidHeaderValue),
}

/// Sends events, on the thread whose [`tokio::task::LocalSet`] it is used in. Clones share their connections.
#[derive(Clone)]
pub struct Sender(Rc<Shared>);

struct Shared {
    deadline: Duration,
    agent: HeaderValue,
    connector: Connector,
    pool: Rc<Pool>,
}

/// What an attempt came to.
#[derive(Debug, Clone)]
pub struct Attempted {
    /// What counts. A status counts as soon as the reply's headers are there, whatever becomes of its body.
    pub outcome: Outcome,
    /// For people: what went wrong, if anything did. Never credentials, query or secret.
    pub detail: Option<Box<str>>,
    /// The reply body's first [`KEPT_REPLY_BYTES`](decnet_core::limits::KEPT_REPLY_BYTES), or what came of it.
    pub reply: Bytes,
    /// How long it took, at most the deadline and a little.
    pub duration: Duration,
    /// Where the time went.
    pub timings: Timings,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deadline: DEFAULT_DEADLINE,
            guard: Guard::default(),
            user_agent: concat!("decnet-webhook/", env!("CARGO_PKG_VERSION")).into(),
            max_idle_per_receiver: MAX_IDLE_PER_RECEIVER,
            idle_age: IDLE_CONNECTION_AGE,
            max_connection_age: MAX_CONNECTION_AGE,
            max_sockets: usize::MAX,
            resolver: Resolver::System,
            roots: Roots::System,
            extra_roots: Vec::new(),
            roots_interval: ROOTS_INTERVAL,
        }
    }
}

impl Sender {
    /// Prepares a sender; it opens nothing yet, and reads the system's root certificates when the first
    /// `https` receiver is dialled.
    ///
    /// # Errors
    /// A user agent that cannot stand in a header.
    pub fn new(options: Options) -> Result<Self, Error> {
        let tls = Tls::new(options.roots, options.extra_roots, options.roots_interval);
        let sockets = Sockets::new(options.max_sockets);
        let Options { max_idle_per_receiver, idle_age, max_connection_age, .. } = options;
        Ok(Self(Rc::new(Shared {
            deadline: options.deadline,
            agent: HeaderValue::from_str(&options.user_agent)?,
            connector: Connector::new(options.guard, options.resolver, tls, sockets),
            pool: Pool::new(max_idle_per_receiver, idle_age, max_connection_age),
        })))
    }

    /// Makes one attempt; `started_at` is the time that is signed. Never fails otherwise than by its outcome.
    ///
    /// Dropping the future closes the HTTP/1.1 connection that it used, or resets its HTTP/2 stream.
    pub async fn send<'a>(
        &self,
        target: &Target,
        message: impl Into<Message<'a>>,
        started_at: UnixMicros,
    ) -> Attempted {
        let begun = Instant::now();
        let slot = self.0.pool.slot(&target.origin);
        let mut attempt = Attempt::new(&self.0, target, slot, started_at);
        let in_time = tokio::time::timeout(attempt.deadline(), attempt.run(message.into())).await;
        let ended = in_time.unwrap_or_else(|_| attempt.cut_off());
        attempt.report(ended, begun)
    }
}

/// How far an attempt has come: what its deadline cuts off.
enum Stage {
    Connecting,
    /// For the reply, on the connection with this number.
    Waiting(u64),
    Reading(Outcome),
}

/// Why a connection brought no reply.
enum Refusal {
    /// Provably no byte of the request has left.
    Unsent(Fault),
    Sent(Fault),
}

impl From<http1::Error> for Refusal {
    fn from(error: http1::Error) -> Self {
        match error {
            http1::Error::Unsent => Self::Unsent(error.into()),
            _ => Self::Sent(error.into()),
        }
    }
}

/// An error that carries the request is proof that no byte of it was sent.
impl From<TrySendError<Request<Body>>> for Refusal {
    fn from(error: TrySendError<Request<Body>>) -> Self {
        let unsent = error.message().is_some();
        let fault = error.into_error().into();
        if unsent { Self::Unsent(fault) } else { Self::Sent(fault) }
    }
}

struct Attempt<'a> {
    shared: &'a Shared,
    target: &'a Target,
    slot: Rc<Slot>,
    started_at: UnixMicros,
    stage: Stage,
    /// How far the connection has come, while that is the stage.
    step: Step,
    timings: Timings,
    kept: Kept,
    /// Where the reply redirects to, if it does.
    redirect: Option<Box<str>>,
}

impl<'a> Attempt<'a> {
    fn new(shared: &'a Shared, target: &'a Target, slot: Rc<Slot>, started_at: UnixMicros) -> Self {
        Self {
            shared,
            target,
            slot,
            started_at,
            stage: Stage::Connecting,
            step: Step::default(),
            timings: Timings::default(),
            kept: Kept::default(),
            redirect: None,
        }
    }

    async fn run(&mut self, message: Message<'_>) -> Result<(Outcome, End), Fault> {
        let (mut lease, reply) = self.post(&message).await?;
        let outcome = reply.outcome(self.started_at);
        self.redirect = reply.redirect();
        self.stage = Stage::Reading(outcome.clone());
        let end = match (reply, &mut lease.connection) {
            (Reply::Http1(head), Connection::Http1(connection)) => {
                connection.read_body(&head, &mut self.kept).await
            }
            (Reply::Http2(reply), _) => response::read_http2(reply.into_body(), &mut self.kept).await,
            (Reply::Http1(_), Connection::Http2(_)) => End::Broken,
        };
        if end == End::Whole {
            self.shared.pool.give_back(&self.slot, lease);
        }
        Ok((outcome, end))
    }

    /// On a waiting connection if there is one. If that turns out to be closed before a byte was sent, then
    /// on another; never again once a byte may have left.
    async fn post(&mut self, message: &Message<'_>) -> Result<(Lease, Reply), Fault> {
        let mut lease = match self.shared.pool.take(&self.slot) {
            Some(waiting) => waiting,
            None => Box::pin(self.connect()).await?,
        };
        loop {
            if lease.rested {
                // Lets the reactor speak first: a connection closed meanwhile then refuses the request unsent.
                tokio::task::yield_now().await;
            }
            self.stage = Stage::Waiting(lease.number);
            let begun = Instant::now();
            match self.exchange(message, &mut lease).await {
                Ok(reply) => {
                    self.timings.first_byte = Some(begun.elapsed());
                    return Ok((lease, reply));
                }
                Err(Refusal::Unsent(_)) if lease.reused => {
                    Pool::distrust(&self.slot, lease.number);
                    lease = Box::pin(self.connect()).await?;
                }
                Err(Refusal::Unsent(fault) | Refusal::Sent(fault))
                    if self.step == Step::WithoutCertificate =>
                {
                    return Err(fault.after_request_for_certificate());
                }
                Err(Refusal::Unsent(fault) | Refusal::Sent(fault)) => return Err(fault),
            }
        }
    }

    async fn exchange(&self, message: &Message<'_>, lease: &mut Lease) -> Result<Reply, Refusal> {
        let (target, at, agent) = (self.target, self.started_at, &self.shared.agent);
        match &mut lease.connection {
            Connection::Http1(connection) => {
                if lease.rested && connection.is_stale() {
                    return Err(http1::Error::Unsent.into());
                }
                let head = |out: &mut Vec<u8>| target.write_head(message, at, agent, out);
                Ok(Reply::Http1(connection.exchange(head, message.body).await?))
            }
            Connection::Http2(connection) => {
                let sent = connection.try_send_request(target.http2_request(message, at, agent)).await;
                sent.map(Reply::Http2).map_err(Refusal::from)
            }
        }
    }

    /// Boxed where it is called: it is seldom needed, and its state would make every attempt larger by far.
    async fn connect(&mut self) -> Result<Lease, Fault> {
        (self.stage, self.step) = (Stage::Connecting, Step::Waiting);
        let (pool, origin) = (&self.shared.pool, &self.target.origin);
        let turn = self.slot.dialling.lock();
        let _turn = if self.slot.dials_freely(origin) { None } else { Some(turn.await) };
        if let Some(shared) = pool.share(&self.slot) {
            return Ok(shared);
        }
        let connector = &self.shared.connector;
        let connection = match connector.connect(origin, &mut self.timings, &mut self.step).await {
            // What idle connections hold may be what was lacking.
            Err(error) if error.is_shortage() && pool.close_oldest() => {
                // An HTTP/2 connection is closed by its own task.
                tokio::task::yield_now().await;
                connector.connect(origin, &mut self.timings, &mut self.step).await?
            }
            made => made?,
        };
        Ok(pool.adopt(&self.slot, connection))
    }

    fn deadline(&self) -> Duration {
        self.target.deadline.unwrap_or(self.shared.deadline)
    }

    /// The deadline has passed. A reply whose headers have come counts, whatever its body still does.
    fn cut_off(&mut self) -> Result<(Outcome, End), Fault> {
        let deadline = seconds(self.deadline());
        match &self.stage {
            Stage::Connecting => {
                Err(Fault::new(Reason::Timeout, self.step.missed(&self.target.origin, &deadline)))
            }
            Stage::Waiting(number) => {
                Pool::distrust(&self.slot, *number);
                Err(Fault::new(Reason::Timeout, format!("no reply within {deadline}")))
            }
            Stage::Reading(outcome) => Ok((outcome.clone(), End::Late)),
        }
    }

    fn report(self, ended: Result<(Outcome, End), Fault>, begun: Instant) -> Attempted {
        let (outcome, detail) = match ended {
            Ok((outcome, end)) => {
                let detail = response::detail(&outcome, end, self.redirect.as_deref());
                (outcome, detail)
            }
            Err(fault) => (fault.outcome, Some(fault.detail)),
        };
        let reply = self.kept.into_bytes();
        Attempted { outcome, detail, reply, duration: begun.elapsed(), timings: self.timings }
    }
}
