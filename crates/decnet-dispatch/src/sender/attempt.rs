//! The pipeline of one attempt.

use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use decnet_core::delivery::{Outcome, Reason, Timings};
use decnet_core::limits::{
    DEFAULT_DEADLINE, IDLE_CONNECTION_AGE, MAX_CONNECTION_AGE, MAX_IDLE_PER_RECEIVER, ROOTS_INTERVAL,
};
use decnet_core::time::UnixMicros;
use decnet_store::clock::Clock;
use http::header::{HeaderValue, InvalidHeaderValue};
use rustls::pki_types::CertificateDer;

use super::connect::{Connector, Step, seconds};
use super::egress::Guard;
use super::fault::Fault;
use super::pool::{Connection, Lease, Pool, Slot};
use super::repeat::{Budget, Kind, Refusal};
use super::request::{Message, Target, Times};
use super::resolve::Resolver;
use super::response::{self, End, Kept, Reply, status_text};
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
    /// Decides until when replaced secrets sign.
    pub clock: Clock,
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
    clock: Clock,
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
    /// How often the request was sent again within the attempt, after a connection ended before a reply or the receiver
    /// refused the request unprocessed.
    pub repeats: u8,
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
            clock: Clock::default(),
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
            clock: options.clock,
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
    /// The reply has come before the whole request was sent.
    Sending(u16),
    Reading(Outcome),
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
    repeats: Budget,
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
            repeats: Budget::default(),
        }
    }

    async fn run(&mut self, message: Message<'_>) -> Result<(Outcome, End), Fault> {
        let (mut lease, mut reply) = self.post(&message).await?;
        let outcome = reply.outcome(self.started_at);
        self.redirect = reply.redirect();
        if !is_sent(&lease, &reply) {
            Box::pin(self.send_rest(&message, &mut lease, &mut reply)).await?;
        }
        self.stage = Stage::Reading(outcome.clone());
        let end = match (&mut reply, &mut lease.connection) {
            (Reply::Http1(head), Connection::Http1(connection)) => {
                connection.read_body(head, &mut self.kept).await
            }
            (Reply::Http2(reply), _) => reply.read_body(&mut self.kept).await,
            (Reply::Http1(_), Connection::Http2(_)) => End::Broken,
        };
        if end == End::Whole {
            self.shared.pool.give_back(&self.slot, lease);
        }
        Ok((outcome, end))
    }

    /// Sends a request and waits for its reply. What is certainly not processed, or went to a kept connection that
    /// turned out to be closed, is sent again: see [`Budget`].
    async fn post(&mut self, message: &Message<'_>) -> Result<(Lease, Reply), Fault> {
        let mut lease = match self.shared.pool.take(&self.slot) {
            Some(waiting) => waiting,
            None => Box::pin(self.connect()).await?,
        };
        loop {
            if lease.rested {
                // Lets the reactor run first: a connection that was closed meanwhile then refuses the request unsent.
                tokio::task::yield_now().await;
            }
            self.stage = Stage::Waiting(lease.number);
            let begun = Instant::now();
            match self.exchange(message, &mut lease).await {
                Ok(reply) => {
                    self.timings.first_byte = Some(begun.elapsed());
                    return Ok((lease, reply));
                }
                Err(refusal) => lease = Box::pin(self.replace(lease, refusal)).await?,
            }
        }
    }

    async fn exchange(&self, message: &Message<'_>, lease: &mut Lease) -> Result<Reply, Refusal> {
        let (target, agent) = (self.target, &self.shared.agent);
        let at = Times { signed: self.started_at, clock: &self.shared.clock };
        match &mut lease.connection {
            Connection::Http1(connection) => {
                if lease.rested && connection.is_stale() {
                    return Err(Refusal::unsent());
                }
                let head = |out: &mut Vec<u8>| target.write_head(message, at, agent, out);
                let replied = connection.exchange(head, message.body).await;
                replied.map(Reply::Http1).map_err(|error| Refusal::http1(error, connection.has_heard()))
            }
            Connection::Http2(connection) => {
                let request = target.http2_request(message, at, agent);
                // Boxed since its state would make every attempt larger.
                let replied = Box::pin(connection.exchange(request, message.body)).await;
                replied.map(|reply| Reply::Http2(Box::new(reply))).map_err(Refusal::http2)
            }
        }
    }

    /// Returns the connection on which a refused request goes out again, if it may.
    async fn replace(&mut self, lease: Lease, refusal: Refusal) -> Result<Lease, Fault> {
        if let Some(caution) = refusal.caution {
            self.slot.take_caution(caution);
        }
        if !refusal.leaves_connection_open {
            Pool::distrust(&self.slot, lease.number);
        }
        if !self.repeats.allows(refusal.kind, lease.reused) {
            return Err(match self.step {
                Step::WithoutCertificate => refusal.fault.after_request_for_certificate(),
                _ => refusal.fault,
            });
        }
        // Its socket may be needed for the next one. An HTTP/2 connection is closed by its own task.
        drop(lease);
        tokio::task::yield_now().await;
        let has_left = refusal.kind != Kind::Unsent || self.repeats.used() > 0;
        match self.connect().await {
            // A request has left all the same, so this is an attempt, and the first fault is what it came to.
            Err(fault) if has_left && fault.outcome == Outcome::LocalFault => Err(refusal.fault),
            Err(fault) => Err(fault),
            Ok(next) => {
                self.repeats.count(refusal.kind);
                Ok(next)
            }
        }
    }

    /// Sends what is left of a request whose reply came early. Only an error status lets a sender stop (RFC 9112
    /// section 9.5, RFC 9110 section 15); a 2xx counts only for a request that was sent to its end.
    async fn send_rest(
        &mut self,
        message: &Message<'_>,
        lease: &mut Lease,
        reply: &mut Reply,
    ) -> Result<(), Fault> {
        let status = reply.status();
        if status >= 400 {
            return Ok(());
        }
        self.stage = if is_success(status) { Stage::Sending(status) } else { self.reading(reply) };
        let sent = match (reply, &mut lease.connection) {
            (Reply::Http2(reply), _) => reply.send_rest().await.is_ok(),
            (Reply::Http1(_), Connection::Http1(connection)) => {
                connection.send_rest(message.body).await.is_ok()
            }
            (Reply::Http1(_), Connection::Http2(_)) => false,
        };
        if sent || !is_success(status) {
            return Ok(());
        }
        let text = format!(
            "HTTP {} came before the whole request was sent, and the connection ended; the receiver must read the whole body",
            status_text(status)
        );
        Err(Fault::new(Reason::Disconnected, text))
    }

    fn reading(&self, reply: &Reply) -> Stage {
        Stage::Reading(reply.outcome(self.started_at))
    }

    /// Boxed where it is called: it is seldom needed, and its state would make every attempt much larger.
    async fn connect(&mut self) -> Result<Lease, Fault> {
        (self.stage, self.step) = (Stage::Connecting, Step::Waiting);
        let (pool, origin) = (&self.shared.pool, &self.target.origin);
        let turn = self.slot.dialling.lock();
        let _turn = if self.slot.dials_freely() { None } else { Some(turn.await) };
        if let Some(shared) = pool.share(&self.slot) {
            return Ok(shared);
        }
        let (connector, protocols) = (&self.shared.connector, self.slot.protocols());
        let connection = match connector.connect(origin, protocols, &mut self.timings, &mut self.step).await {
            // What idle connections hold may be what was lacking.
            Err(error) if error.is_shortage() && pool.close_oldest() => {
                // An HTTP/2 connection is closed by its own task.
                tokio::task::yield_now().await;
                connector.connect(origin, protocols, &mut self.timings, &mut self.step).await?
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
            Stage::Sending(status) => {
                let status = status_text(*status);
                let text = format!(
                    "HTTP {status} came before the whole request was sent, and the rest was not read within {deadline}"
                );
                Err(Fault::new(Reason::Timeout, text))
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
        let (reply, repeats) = (self.kept.into_bytes(), self.repeats.used());
        Attempted { outcome, detail, reply, duration: begun.elapsed(), timings: self.timings, repeats }
    }
}

/// Returns whether the whole request was written when its reply came.
fn is_sent(lease: &Lease, reply: &Reply) -> bool {
    match (reply, &lease.connection) {
        (Reply::Http2(reply), _) => reply.is_sent(),
        (Reply::Http1(_), Connection::Http1(connection)) => connection.is_sent(),
        (Reply::Http1(_), Connection::Http2(_)) => false,
    }
}

fn is_success(status: u16) -> bool {
    (200..=299).contains(&status)
}
