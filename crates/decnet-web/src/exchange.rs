//! The result of a test with the whole exchange, as the API returns it.

use serde::Deserialize;

use crate::Text;
use crate::previewed::{Body, Request};

/// The result of a test.
#[derive(Debug, Deserialize)]
pub struct Report {
    /// Whether the receiver accepted the event.
    pub delivered: bool,
    /// The status of the reply.
    pub status_code: Option<u16>,
    /// Why the test failed.
    pub error: Option<Text>,
    /// The exchange, if a request could be made.
    pub exchange: Option<Exchange>,
}

/// A request and its reply.
#[derive(Debug, Deserialize)]
pub struct Exchange {
    /// The request.
    pub request: Request,
    /// The reply, if one arrived.
    pub reply: Option<Reply>,
    duration_ms: f64,
    timings: Timings,
    /// The number of times that the request was repeated.
    pub repeats: u32,
}

/// A reply.
#[derive(Debug, Deserialize)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(Text, Text)>,
    /// The body.
    pub body: Body,
}

#[derive(Debug, Deserialize)]
struct Timings {
    resolve_ms: Option<f64>,
    connect_ms: Option<f64>,
    tls_ms: Option<f64>,
    first_byte_ms: Option<f64>,
}

impl Exchange {
    /// Returns the duration of the whole, and of the steps that were measured.
    #[must_use]
    pub fn durations(&self) -> Vec<(&'static str, String)> {
        let Timings { resolve_ms, connect_ms, tls_ms, first_byte_ms } = self.timings;
        let steps = [
            ("DNS", resolve_ms),
            ("connect", connect_ms),
            ("TLS", tls_ms),
            ("first byte", first_byte_ms),
            ("total", Some(self.duration_ms)),
        ];
        steps.into_iter().filter_map(|(name, ms)| Some((name, format!("{:.1} ms", ms?)))).collect()
    }
}
