//! The steps of a receiver.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::record::Request;

/// A receiver's reaction to one request, after it was read and recorded.
#[derive(Debug, Clone)]
pub enum Step {
    /// Sends a proper reply.
    Reply(Reply),
    /// Sends nothing until the client closes the connection.
    Hang,
    /// Resets the connection (TCP RST).
    Reset,
    /// Sends these bytes instead of a reply, such as a part of a reply, and closes the connection.
    Close(Bytes),
    /// Sends `reply`, later also `rest`, and keeps the connection open. `rest` is counted like a huge body.
    Late {
        /// A reply, byte for byte.
        reply: Bytes,
        /// Time between the reply and the rest.
        after: Duration,
        /// Bytes sent after that time.
        rest: Bytes,
    },
    /// Sends the first bytes, then repeats the second bytes; these are counted like a huge body.
    Endless(Bytes, Bytes),
    /// Sends the first bytes at once and the second bytes byte by byte, one per interval, and closes the connection.
    Drip(Bytes, Bytes, Duration),
    /// Sends a 200 with a body of this many bytes.
    Huge(u64),
    /// Sends a 200 with a header of this many bytes.
    HugeHeader(usize),
}

/// A proper reply, created by [`reply`].
#[derive(Debug, Clone)]
#[must_use]
pub struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    pub(crate) delay: Duration,
    pub(crate) interim: bool,
    pub(crate) close: bool,
}

/// Creates a reply with this status, without a body and without optional headers.
pub fn reply(status: u16) -> Reply {
    let (headers, body, delay) = (Vec::new(), Bytes::new(), Duration::ZERO);
    Reply { status, headers, body, delay, interim: false, close: false }
}

/// Creates a redirect (302) to a URL.
pub fn redirect(to: &str) -> Reply {
    reply(302).header("location", to)
}

impl Reply {
    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Adds `Retry-After`: seconds or a date.
    pub fn retry_after(self, value: &str) -> Self {
        self.header("retry-after", value)
    }

    /// Delays the reply.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sends `100 Continue` before the reply (HTTP/1.1).
    pub fn interim(mut self) -> Self {
        self.interim = true;
        self
    }

    /// Closes the connection after the reply without announcing it (HTTP/1.1).
    pub fn then_close(mut self) -> Self {
        self.close = true;
        self
    }
}

impl From<Reply> for Step {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

/// Selects the step for a request, from its number and its contents.
type Select = dyn Fn(usize, &Request) -> Step + Send + Sync;

/// The sequence of steps of a receiver: a function of the number of a request and of the request itself.
#[derive(Clone)]
#[must_use]
pub struct Script(Arc<Select>);

impl Script {
    /// Creates a script with one step per request, in the order of arrival across all connections. The last
    /// step repeats.
    ///
    /// # Panics
    /// Panics if there are no steps.
    pub fn steps(steps: impl IntoIterator<Item = Step>) -> Self {
        let steps: Vec<Step> = steps.into_iter().collect();
        assert!(!steps.is_empty(), "a script has at least one step");
        Self(Arc::new(move |number, _| steps[number.min(steps.len() - 1)].clone()))
    }

    /// Creates a script in which a function chooses the step.
    pub fn by(choice: impl Fn(&Request) -> Step + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |_, request| choice(request)))
    }

    /// Returns the step for request `number`, counted from 0 since the script was set.
    pub(crate) fn step(&self, number: usize, request: &Request) -> Step {
        (self.0)(number, request)
    }
}

/// Creates a script with the same step for every request.
impl<T: Into<Step>> From<T> for Script {
    fn from(step: T) -> Self {
        Self::steps([step.into()])
    }
}

impl Default for Script {
    /// Creates a script that always replies 200.
    fn default() -> Self {
        reply(200).into()
    }
}
