//! Access tokens for client credentials (RFC 6749 section 4.4), sent in `authorization` (RFC 6750 section 2.1).
//!
//! All subscriptions with the same client share its token. A client has at most one request under way, and every attempt that needs
//! the token waits for it within its own deadline. After a failure the token endpoint gets no request for some time: see
//! [`TOKEN_RETRY_DELAY`].

mod client;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use decnet_core::delivery::{Outcome, Reason};
use decnet_core::limits::{MAX_TOKEN_CLIENTS, MAX_TOKEN_RETRY_DELAY, TOKEN_DEADLINE, TOKEN_RETRY_DELAY};
use decnet_core::redact::Secret;
use decnet_core::time::BootMicros;
use decnet_runtime::clock::Clock;
use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, Shared};
use rustc_hash::FxHashMap;

pub(crate) use self::client::TokenClient;
use crate::connect::{Connector, format_duration};
use crate::fault::Fault;

/// An access token.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    value: Rc<Secret>,
    /// The time at which another token is requested.
    until: BootMicros,
}

/// The tokens of all clients.
pub(crate) struct Tokens {
    connector: Rc<Connector>,
    clock: Clock,
    clients: RefCell<FxHashMap<[u8; 32], Rc<RefCell<State>>>>,
}

type FetchResult = Result<Token, Fault>;
type Fetch = Shared<LocalBoxFuture<'static, FetchResult>>;

/// The token of a client.
#[derive(Default)]
struct State {
    token: Option<Token>,
    in_progress: Option<Fetch>,
    failure: Option<Failure>,
}

/// The last failure of a token endpoint.
struct Failure {
    fault: Fault,
    /// The number of failures in succession.
    count: u32,
    /// The time before which the token endpoint gets no request.
    until: BootMicros,
}

impl Token {
    /// Returns the text of the token.
    pub(crate) fn expose(&self) -> &str {
        self.value.expose()
    }
}

impl Tokens {
    pub(crate) fn new(connector: Rc<Connector>, clock: Clock) -> Self {
        Self { connector, clock, clients: RefCell::default() }
    }

    /// Returns a token of the client, if necessary a new one. `rejected` is a token that the receiver did not accept.
    ///
    /// # Errors
    /// No token could be obtained, now or shortly before.
    pub(crate) async fn get(&self, client: &TokenClient, rejected: Option<&Token>) -> FetchResult {
        let state = self.state(client);
        let known = state.borrow().known(rejected, self.clock.uptime());
        match known {
            Some(known) => known,
            None => self.join(client, &state).await,
        }
    }

    fn state(&self, client: &TokenClient) -> Rc<RefCell<State>> {
        let mut clients = self.clients.borrow_mut();
        if clients.len() >= MAX_TOKEN_CLIENTS && !clients.contains_key(&client.digest) {
            clients.retain(|_, state| Rc::strong_count(state) > 1);
        }
        Rc::clone(clients.entry(client.digest).or_default())
    }

    /// Returns the request that is under way, or starts one.
    fn join(&self, client: &TokenClient, state: &Rc<RefCell<State>>) -> Fetch {
        if let Some(fetch) = &state.borrow().in_progress {
            return fetch.clone();
        }
        let fetch = self.start(client.clone(), Rc::clone(state));
        state.borrow_mut().in_progress = Some(fetch.clone());
        fetch
    }

    /// Starts a request as a task of its own, so that it completes and is recorded even if no attempt is waiting any longer.
    fn start(&self, client: TokenClient, state: Rc<RefCell<State>>) -> Fetch {
        let (connector, clock) = (Rc::clone(&self.connector), self.clock.clone());
        let interrupted = client.fault(Reason::Internal, "the request was interrupted");
        let task = tokio::task::spawn_local(async move {
            let start = clock.uptime();
            let in_time = tokio::time::timeout(TOKEN_DEADLINE, client.fetch(&connector)).await;
            let text = || format!("no reply within {}", format_duration(TOKEN_DEADLINE));
            let granted = in_time.unwrap_or_else(|_| Err(client.fault(Reason::Timeout, &text())));
            let fetched =
                granted.map(|grant| Token { value: Rc::new(grant.token), until: start.after(grant.use_for) });
            state.borrow_mut().record(&fetched, clock.uptime());
            fetched
        });
        task.map(move |ended| ended.unwrap_or(Err(interrupted))).boxed_local().shared()
    }
}

impl State {
    /// Returns a token that can be used, or the fault if the token endpoint failed shortly before.
    fn known(&self, rejected: Option<&Token>, now: BootMicros) -> Option<FetchResult> {
        let is_usable = |token: &&Token| {
            token.until > now && rejected.is_none_or(|rejected| !Rc::ptr_eq(&rejected.value, &token.value))
        };
        if let Some(token) = self.token.as_ref().filter(is_usable) {
            return Some(Ok(token.clone()));
        }
        let failure = self.failure.as_ref().filter(|failure| failure.until > now);
        failure.map(|failure| Err(failure.fault.clone()))
    }

    fn record(&mut self, fetched: &FetchResult, now: BootMicros) {
        self.in_progress = None;
        match fetched {
            Ok(token) => (self.token, self.failure) = (Some(token.clone()), None),
            // The token endpoint is not the cause, and the worker itself waits after such a fault.
            Err(fault) if fault.outcome == Outcome::LocalFault => {}
            Err(fault) => {
                let count = self.failure.as_ref().map_or(0, |failure| failure.count).saturating_add(1);
                let until = now.after(retry_delay(count));
                self.failure = Some(Failure { fault: fault.clone(), count, until });
            }
        }
    }
}

/// Returns the time for which a token endpoint gets no request after this number of failures in succession.
fn retry_delay(failures: u32) -> Duration {
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1));
    TOKEN_RETRY_DELAY.saturating_mul(factor).min(MAX_TOKEN_RETRY_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_after_failures_grow_up_to_a_bound() {
        let seconds = [1, 2, 3, 5, u32::MAX].map(|failures| retry_delay(failures).as_secs());
        assert_eq!(seconds, [10, 20, 40, 120, 120]);
    }
}
