//! Deliveries, as the API returns them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::advice::{Advice, advice};
use crate::json::indent;
use crate::steps::{Segment, Timings};
use crate::{Text, Time, curl};

/// The maximum number of characters of a body on a page.
const MAX_BODY_CHARS: usize = 256 * 1024;
/// The states of a delivery.
pub const STATES: [&str; 5] = ["pending", "retrying", "parked", "delivered", "dead"];

/// A page of deliveries.
#[derive(Debug, Default, Deserialize)]
pub struct Deliveries {
    /// The deliveries, newest first.
    pub deliveries: Vec<Delivery>,
    /// The cursor of the next page.
    pub next: Option<String>,
}

/// One event for one subscription.
#[derive(Debug, Clone, Deserialize)]
pub struct Delivery {
    /// The id.
    pub id: Text,
    /// One of [`STATES`].
    pub state: String,
    /// Why the delivery is dead.
    pub reason: Option<String>,
    /// When a retry is due.
    pub due_at: Option<Time>,
    /// Until when the receiver wants no requests.
    pub deferred_until: Option<Time>,
    /// The number of attempts.
    pub attempt_count: u32,
    /// The id of the event.
    pub event_id: Text,
    /// The topic of the event.
    pub topic: Text,
    /// The subscription.
    pub subscription: Name,
    /// When the event became durable.
    pub admitted_at: Time,
    /// When the delivery became final.
    pub settled_at: Option<Time>,
}

/// The UUID and the name of a subscription.
#[derive(Debug, Clone, Deserialize)]
pub struct Name {
    /// The UUID.
    pub uuid: Text,
    /// The name.
    pub name: Text,
}

/// A delivery with its event's body and its attempts. The fields are those of [`Delivery`] and the fields below: flattening
/// would lose the exact text of the body.
#[derive(Debug)]
pub struct Details {
    /// The row of the list.
    pub delivery: Delivery,
    /// The body of the event; `None` once it is erased.
    pub body: Option<Box<RawValue>>,
    /// The attempts in order.
    pub attempts: Vec<Attempt>,
}

/// The fields of [`Details`] beyond those of the list.
#[derive(Deserialize)]
struct Extra {
    body: Option<Box<RawValue>>,
    attempts: Vec<Attempt>,
}

/// One POST and its outcome.
#[derive(Debug, Deserialize)]
pub struct Attempt {
    /// The number, from 1.
    pub number: u32,
    /// When it began.
    pub started_at: Time,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// The status of the reply.
    pub status: Option<u16>,
    /// Why it did not deliver.
    pub reason: Option<String>,
    /// A description of the failure.
    pub detail: Option<Text>,
    /// The number of times that the request was repeated within the attempt.
    pub repeats: u32,
    /// The beginning of the reply's body.
    pub reply: Text,
    /// The durations of the steps.
    pub timings: Timings,
    /// The request, without secrets.
    pub request: Request,
}

/// A request without its secrets.
#[derive(Debug, Deserialize)]
pub struct Request {
    /// The method.
    pub method: Text,
    /// Scheme, host and port.
    pub url: Option<Text>,
    /// The headers; secret values are replaced.
    pub headers: BTreeMap<Text, Text>,
}

impl Delivery {
    /// Returns whether the delivery will not change any more.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(&*self.state, "delivered" | "dead")
    }

    /// Returns what the reason means.
    #[must_use]
    pub fn advice(&self) -> Option<Advice> {
        self.reason.as_deref().map(advice)
    }

    /// Returns the time of the next attempt, if it is known.
    #[must_use]
    pub fn next_attempt(&self) -> Option<&Time> {
        let is_waiting = matches!(&*self.state, "pending" | "retrying");
        let times = [&self.due_at, &self.deferred_until].into_iter().flatten();
        times.max_by_key(|time| time.micros()).filter(|_| is_waiting)
    }
}

impl Details {
    /// Parses the API's response.
    ///
    /// # Errors
    /// The response has another form.
    pub fn parse(json: &[u8]) -> serde_json::Result<Self> {
        let Extra { body, attempts } = serde_json::from_slice(json)?;
        Ok(Self { delivery: serde_json::from_slice(json)?, body, attempts })
    }

    /// Returns the explanation of the current failure: of the delivery, or of its last attempt.
    #[must_use]
    pub fn advice(&self) -> Option<Advice> {
        let last = || self.attempts.last().filter(|_| self.delivery.state != "delivered");
        self.delivery.advice().or_else(|| last()?.reason.as_deref().map(advice))
    }

    /// Returns the indented body, and whether it is complete.
    #[must_use]
    pub fn shown_body(&self) -> Option<(String, bool)> {
        let body = self.body.as_ref()?.get();
        let shown: String = Text::from(indent(body)).lines();
        let cut: String = shown.chars().take(MAX_BODY_CHARS).collect();
        let is_complete = cut.len() == shown.len();
        Some((cut, is_complete))
    }

    /// Returns a command that sends the request of the last attempt, without secrets.
    #[must_use]
    pub fn curl(&self) -> Option<String> {
        curl::command(&self.attempts.last()?.request, self.body.as_ref()?.get())
    }
}

impl Attempt {
    /// Returns whether the attempt delivered the event.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.reason.is_none()
    }

    /// Returns what the reason means.
    #[must_use]
    pub fn advice(&self) -> Option<Advice> {
        self.reason.as_deref().map(advice)
    }

    /// Returns the duration in milliseconds.
    #[must_use]
    pub fn duration(&self) -> String {
        format!("{:.1} ms", self.duration_ms)
    }

    /// Returns the steps as the parts of a bar.
    #[must_use]
    pub fn segments(&self) -> Vec<Segment> {
        self.timings.segments(self.duration_ms)
    }
}
