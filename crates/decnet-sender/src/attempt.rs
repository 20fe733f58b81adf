//! The pipeline of one attempt, and its deadline.

use std::rc::Rc;
use std::time::{Duration, Instant};

use decnet_core::delivery::{Outcome, Reason};
use decnet_core::time::UnixMicros;
use decnet_runtime::clock::Clock;

use crate::attempt_result::AttemptResult;
use crate::connect::{ConnectProgress, ConnectStep, Connector, format_duration};
use crate::fault::Fault;
use crate::no_reply::{ExchangeError, NoReply, NoReplyKind};
use crate::options::Options;
use crate::pool::{Connection, OriginState, Pool, PooledConnection};
use crate::repeat::RepeatBudget;
use crate::request::{Message, RequestContext, Target};
use crate::response::{self, BodyEnd, ReplyHead, ReplyPrefix, is_success, status_text};
use crate::sockets::SocketLimit;
use crate::tls::Tls;
use crate::tokens::{Token, TokenClient, Tokens};

/// The status for a token that is not accepted (RFC 6750 section 3.1).
const UNAUTHORIZED: u16 = 401;

/// A sender of events, for the thread whose [`tokio::task::LocalSet`] it is used in. Clones share their connections.
#[derive(Clone)]
pub struct Sender(Rc<Inner>);

struct Inner {
    deadline: Duration,
    connector: Rc<Connector>,
    pool: Rc<Pool>,
    tokens: Tokens,
    clock: Clock,
}

impl Sender {
    /// Creates a sender. It opens no connection yet, and loads the trusted root certificates when the first `https`
    /// receiver is dialled.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let tls = Tls::new(options.roots, options.extra_roots, options.roots_interval);
        let sockets = SocketLimit::new(options.max_sockets);
        let Options { max_idle_per_receiver, idle_age, max_connection_age, .. } = options;
        let connector = Rc::new(Connector::new(options.guard, options.resolver, tls, sockets, options.proxy));
        Self(Rc::new(Inner {
            deadline: options.deadline,
            pool: Pool::new(max_idle_per_receiver, idle_age, max_connection_age),
            tokens: Tokens::new(Rc::clone(&connector), options.clock.clone()),
            connector,
            clock: options.clock,
        }))
    }

    /// Returns the deadline of the attempts with a target.
    pub(crate) fn deadline(&self, target: &Target) -> Duration {
        target.deadline.unwrap_or(self.0.deadline)
    }

    /// Makes one attempt and returns its result, which also reports failures. `started_at` is the time that is signed.
    ///
    /// Dropping the future closes the HTTP/1.1 connection that it used, or resets its HTTP/2 stream.
    pub fn send<'a>(
        &self,
        target: &Target,
        message: impl Into<Message<'a>>,
        started_at: UnixMicros,
    ) -> impl Future<Output = AttemptResult> {
        // An `async fn` would keep both the argument and the message in its state, which is allocated for each attempt.
        let message = message.into();
        async move {
            let start = Instant::now();
            let mut attempt = Attempt::new(&self.0, target, started_at);
            let in_time = tokio::time::timeout(attempt.deadline(), attempt.run(&message)).await;
            let ended = in_time.unwrap_or_else(|_| attempt.timed_out());
            attempt.result(ended, start)
        }
    }
}

/// The stage of an attempt, which decides what a missed deadline means.
enum Stage {
    Connecting,
    /// The attempt is waiting for an access token.
    Authorizing,
    /// The attempt is waiting for the reply on the connection with this number.
    Waiting(u64),
    /// The attempt is sending the rest of the request, whose reply with this status arrived early.
    Sending(u16),
    Reading(Outcome),
}

struct Attempt<'a> {
    sender: &'a Inner,
    target: &'a Target,
    origin: Rc<OriginState>,
    started_at: UnixMicros,
    stage: Stage,
    progress: ConnectProgress,
    reply_prefix: ReplyPrefix,
    /// The target of the redirect, if the reply is a redirect.
    redirect: Option<Box<str>>,
    repeats: RepeatBudget,
    /// The access token, if the subscription needs one.
    token: Option<Token>,
}

impl<'a> Attempt<'a> {
    fn new(sender: &'a Inner, target: &'a Target, started_at: UnixMicros) -> Self {
        Self {
            sender,
            target,
            origin: sender.pool.origin(&target.origin),
            started_at,
            stage: Stage::Connecting,
            progress: ConnectProgress::default(),
            reply_prefix: ReplyPrefix::new(target.max_reply_bytes),
            redirect: None,
            repeats: RepeatBudget::default(),
            token: None,
        }
    }

    async fn run(&mut self, message: &Message<'_>) -> Result<(Outcome, BodyEnd), Fault> {
        let target = self.target;
        match &target.token_client {
            None => self.send(message).await,
            // Boxed, because its state would enlarge every attempt.
            Some(client) => Box::pin(self.send_with_token(message, client)).await,
        }
    }

    /// Sends the request with an access token. If the receiver does not accept the token, the request is sent once more with a new
    /// token.
    async fn send_with_token(
        &mut self,
        message: &Message<'_>,
        client: &TokenClient,
    ) -> Result<(Outcome, BodyEnd), Fault> {
        let tokens = &self.sender.tokens;
        self.stage = Stage::Authorizing;
        let token = tokens.get(client, None).await?;
        self.token = Some(token.clone());
        let first = self.send(message).await?;
        if first.0.status() != Some(UNAUTHORIZED) {
            return Ok(first);
        }
        (self.reply_prefix, self.redirect) = (ReplyPrefix::new(self.target.max_reply_bytes), None);
        self.stage = Stage::Authorizing;
        // Without a new token the 401 is not final: the old token may have been revoked.
        self.token = Some(tokens.get(client, Some(&token)).await?);
        self.send(message).await
    }

    async fn send(&mut self, message: &Message<'_>) -> Result<(Outcome, BodyEnd), Fault> {
        let (mut pooled, head) = self.post(message).await?;
        self.reply_prefix.keep_headers(pooled.connection.reply_headers());
        let outcome = head.outcome(self.started_at);
        self.redirect = head.redirect();
        if !pooled.connection.is_sent() {
            Box::pin(self.send_rest(message, &mut pooled, &head)).await?;
        }
        self.stage = Stage::Reading(outcome.clone());
        let end = pooled.connection.read_body(&mut self.reply_prefix).await;
        if end == BodyEnd::Complete {
            self.sender.pool.release(&self.origin, pooled);
        }
        Ok((outcome, end))
    }

    /// Sends the request and waits for its reply. A request that was certainly not processed, or that was sent on a reused
    /// connection that turned out to be closed, is sent again: see [`RepeatBudget`].
    async fn post(&mut self, message: &Message<'_>) -> Result<(PooledConnection, ReplyHead), Fault> {
        let mut pooled = match self.sender.pool.take(&self.origin) {
            Some(waiting) => waiting,
            None => Box::pin(self.connect()).await?,
        };
        loop {
            if pooled.was_idle {
                // Lets the reactor run first: a connection that was closed in the meantime then refuses the request unsent.
                tokio::task::yield_now().await;
            }
            self.stage = Stage::Waiting(pooled.number);
            let start = Instant::now();
            match self.exchange(message, &mut pooled).await {
                Ok(head) => {
                    self.progress.timings.first_byte = Some(start.elapsed());
                    return Ok((pooled, head));
                }
                Err(no_reply) => pooled = Box::pin(self.replace(pooled, no_reply)).await?,
            }
        }
    }

    async fn exchange(
        &self,
        message: &Message<'_>,
        pooled: &mut PooledConnection,
    ) -> Result<ReplyHead, NoReply> {
        let target = self.target;
        let token = self.token.as_ref().map(Token::expose);
        let at = RequestContext { signed: self.started_at, clock: &self.sender.clock, token };
        pooled.connection.keep_head(target.keeps_reply_headers);
        let (replied, has_received) = match &mut pooled.connection {
            Connection::Http1(connection) => {
                if pooled.was_idle && connection.is_stale() {
                    return Err(NoReply::new(&ExchangeError::Unsent, false));
                }
                let head = |out: &mut Vec<u8>| target.write_head(message, at, out);
                let replied = connection.exchange(head, message.body).await;
                (replied, connection.has_received())
            }
            Connection::Http2(exchange) => {
                let request = target.http2_request(message, at);
                // Boxed because its state would make every attempt larger.
                (Box::pin(exchange.exchange(request, message.body)).await, false)
            }
        };
        replied.map_err(|error| NoReply::new(&error, has_received))
    }

    /// Returns the connection on which the request is sent again, if a repeat is permitted.
    async fn replace(
        &mut self,
        pooled: PooledConnection,
        no_reply: NoReply,
    ) -> Result<PooledConnection, Fault> {
        if let Some(precaution) = no_reply.precaution {
            self.origin.take_precaution(precaution);
        }
        if !no_reply.leaves_connection_open {
            Pool::stop_sharing(&self.origin, pooled.number);
        }
        if !self.repeats.try_repeat(no_reply.kind, pooled.reused) {
            return Err(match self.progress.step {
                ConnectStep::WithoutCertificate => no_reply.fault.after_request_for_certificate(),
                _ => no_reply.fault,
            });
        }
        // The next connection may need its socket. An HTTP/2 connection is closed by its own task.
        drop(pooled);
        tokio::task::yield_now().await;
        let may_have_arrived = no_reply.kind != NoReplyKind::Unsent || self.repeats.used() > 0;
        match self.connect().await {
            // A request may have reached the receiver, so the attempt counts and its first fault is reported.
            Err(fault) if may_have_arrived && fault.outcome == Outcome::LocalFault => Err(no_reply.fault),
            Err(fault) => Err(fault),
            Ok(next) => {
                self.repeats.record(no_reply.kind);
                Ok(next)
            }
        }
    }

    /// Sends the rest of a request whose reply arrived early. Only an error status lets a sender stop (RFC 9112
    /// section 9.5, RFC 9110 section 15); a 2xx counts only if the whole request was sent.
    async fn send_rest(
        &mut self,
        message: &Message<'_>,
        pooled: &mut PooledConnection,
        head: &ReplyHead,
    ) -> Result<(), Fault> {
        let status = head.status;
        if status >= 400 {
            return Ok(());
        }
        self.stage = match is_success(status) {
            true => Stage::Sending(status),
            false => Stage::Reading(head.outcome(self.started_at)),
        };
        let sent = pooled.connection.send_rest(message.body).await;
        if sent || !is_success(status) {
            return Ok(());
        }
        let text = format!(
            "HTTP {} came before the whole request was sent, and the connection ended; the receiver must read the whole body",
            status_text(status)
        );
        Err(Fault::new(Reason::Disconnected, text))
    }

    /// Returns a shared connection, or opens a new connection. Callers box the future: it is rarely needed, and its state would
    /// make every attempt much larger.
    async fn connect(&mut self) -> Result<PooledConnection, Fault> {
        (self.stage, self.progress.step) = (Stage::Connecting, ConnectStep::Waiting);
        let (pool, origin) = (&self.sender.pool, &self.target.origin);
        let turn = self.origin.dialling.lock();
        let _turn = if self.origin.may_dial_concurrently() { None } else { Some(turn.await) };
        if let Some(shared) = pool.shared(&self.origin) {
            return Ok(shared);
        }
        let (connector, protocols) = (&self.sender.connector, self.origin.protocols());
        let connection = match connector.connect(origin, protocols, &mut self.progress).await {
            // Idle connections may hold the resource that this host lacks.
            Err(error) if error.is_shortage() && pool.close_oldest() => {
                // An HTTP/2 connection is closed by its own task.
                tokio::task::yield_now().await;
                connector.connect(origin, protocols, &mut self.progress).await?
            }
            connected => connected?,
        };
        Ok(pool.add(&self.origin, connection))
    }

    fn deadline(&self) -> Duration {
        self.target.deadline.unwrap_or(self.sender.deadline)
    }

    /// Returns the result at the deadline. A reply whose headers have arrived counts, even if its body is incomplete.
    fn timed_out(&mut self) -> Result<(Outcome, BodyEnd), Fault> {
        let deadline = format_duration(self.deadline());
        let text = match &self.stage {
            Stage::Connecting => {
                let (step, origin) = (self.progress.step, &self.target.origin);
                return Err(Fault::missed_deadline(step, origin, &deadline));
            }
            Stage::Authorizing => {
                let endpoint = self.target.token_client.as_ref().map(|client| client.origin.to_string());
                format!("no token from the token endpoint {} within {deadline}", endpoint.unwrap_or_default())
            }
            Stage::Waiting(number) => {
                Pool::stop_sharing(&self.origin, *number);
                format!("no reply within {deadline}")
            }
            Stage::Sending(status) => {
                let status = status_text(*status);
                format!(
                    "HTTP {status} came before the whole request was sent, and the rest was not read within {deadline}"
                )
            }
            Stage::Reading(outcome) => return Ok((outcome.clone(), BodyEnd::TimedOut)),
        };
        Err(Fault::new(Reason::Timeout, text))
    }

    fn result(self, ended: Result<(Outcome, BodyEnd), Fault>, start: Instant) -> AttemptResult {
        let (outcome, detail, is_complete) = match ended {
            Ok((outcome, end)) => {
                let detail = response::detail(&outcome, end, self.redirect.as_deref());
                (outcome, detail, end == BodyEnd::Complete)
            }
            Err(fault) => (fault.outcome, Some(fault.detail), false),
        };
        let (reply, reply_headers) = self.reply_prefix.into_parts();
        AttemptResult {
            outcome,
            detail,
            is_reply_complete: is_complete && reply.len() < self.target.max_reply_bytes,
            reply,
            reply_headers,
            duration: start.elapsed(),
            timings: self.progress.timings,
            repeats: self.repeats.used(),
            body_hash: None,
        }
    }
}
