//! What a receiver does with each request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::record::Request;

/// What to do with one request, once it has been read and recorded.
#[derive(Debug, Clone)]
pub enum Step {
    /// Answer properly.
    Reply(Reply),
    /// Say nothing until the client goes.
    Hang,
    /// Reset the connection (TCP RST).
    Reset,
    /// Close within the reply's headers.
    CloseMidHeaders,
    /// Send a 200, promise 100 bytes, send half of them and close.
    CloseMidBody,
    /// Send these bytes instead of a reply, and close.
    Garbage(Bytes),
    /// Send these bytes instead of a reply, and go on.
    Raw(Bytes),
    /// Send `reply`, after a while also `rest`, and go on. `rest` is counted like a huge body.
    Late {
        /// A reply, byte for byte.
        reply: Bytes,
        /// How long the rest is held back.
        after: Duration,
        /// What comes then.
        rest: Bytes,
    },
    /// Send the first bytes, and then the others over and over; these are counted like a huge body.
    Endless(Bytes, Bytes),
    /// Send a 200 a byte at a time, one per interval.
    DripHead(Duration),
    /// Send a 200 and its headers at once, and its 1,000 bytes one per interval.
    DripBody(Duration),
    /// Send a 200 with a body of so many bytes.
    Huge(u64),
    /// Send a 200 with a header of so many bytes.
    HugeHeader(usize),
}

/// A proper reply; made by [`reply`].
#[derive(Debug, Clone)]
pub struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    pub(crate) delay: Duration,
    pub(crate) interim: bool,
    pub(crate) close: bool,
}

/// A reply with this status, no body and no header beyond the necessary.
#[must_use]
pub fn reply(status: u16) -> Reply {
    let (headers, body, delay) = (Vec::new(), Bytes::new(), Duration::ZERO);
    Reply { status, headers, body, delay, interim: false, close: false }
}

/// A redirect (302) to a URL.
#[must_use]
pub fn redirect(to: &str) -> Reply {
    reply(302).header("location", to)
}

impl Reply {
    /// With a header, added to those that are there.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// With `Retry-After`: seconds or a date.
    #[must_use]
    pub fn retry_after(self, value: &str) -> Self {
        self.header("retry-after", value)
    }

    /// Only after a while.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// With a `100 Continue` before it (HTTP/1.1).
    #[must_use]
    pub fn interim(mut self) -> Self {
        self.interim = true;
        self
    }

    /// And then close the connection without having announced it (HTTP/1.1).
    #[must_use]
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

type Choice = Arc<dyn Fn(&Request) -> Step + Send + Sync>;

/// What a receiver does with request after request.
#[derive(Clone)]
pub struct Script(Kind);

#[derive(Clone)]
enum Kind {
    Steps(Arc<[Step]>),
    By(Choice),
}

impl Script {
    /// The same with every request.
    #[must_use]
    pub fn always(step: impl Into<Step>) -> Self {
        Self(Kind::Steps(Arc::new([step.into()])))
    }

    /// One step per request, in the order of arrival over all connections; the last one from then on.
    ///
    /// # Panics
    /// No step at all.
    #[must_use]
    pub fn steps(steps: impl IntoIterator<Item = Step>) -> Self {
        let steps: Arc<[Step]> = steps.into_iter().collect();
        assert!(!steps.is_empty(), "a script has at least one step");
        Self(Kind::Steps(steps))
    }

    /// Whatever a function says; in a receiver that only counts, it sees requests without bodies.
    #[must_use]
    pub fn by(choice: impl Fn(&Request) -> Step + Send + Sync + 'static) -> Self {
        Self(Kind::By(Arc::new(choice)))
    }

    /// Must the request be parsed to know?
    pub(crate) fn reads_requests(&self) -> bool {
        matches!(self.0, Kind::By(_))
    }

    /// The step for a request, the `number`th since the script was set, from 0.
    pub(crate) fn step(&self, number: usize, request: &Request) -> Step {
        match &self.0 {
            Kind::Steps(steps) => steps[number.min(steps.len() - 1)].clone(),
            Kind::By(choice) => choice(request),
        }
    }
}

impl<T: Into<Step>> From<T> for Script {
    fn from(step: T) -> Self {
        Self::always(step)
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Steps(steps) => f.debug_tuple("Script").field(steps).finish(),
            Kind::By(_) => f.write_str("Script(by a function)"),
        }
    }
}
