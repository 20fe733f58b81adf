//! The result of one attempt.

use std::time::Duration;

use bytes::Bytes;
use decnet_core::delivery::{Outcome, Reason, Timings};

use crate::response::ReplyHeaders;

/// The result of an attempt.
#[derive(Debug, Clone)]
pub struct AttemptResult {
    /// The outcome. A status counts once the reply's headers have arrived, even if its body is incomplete.
    pub outcome: Outcome,
    /// A description of the problem for operators, if there was one. It never contains credentials, a query or a secret.
    pub detail: Option<Box<str>>,
    /// The beginning of the reply's body, as far as it arrived: at most
    /// [`MAX_STORED_REPLY_BYTES`](decnet_core::limits::MAX_STORED_REPLY_BYTES), or at most
    /// [`MAX_REPLY_BYTES`](decnet_core::limits::MAX_REPLY_BYTES) if a format judges it.
    pub reply: Bytes,
    /// Whether `reply` is the whole body.
    pub is_reply_complete: bool,
    /// The headers of the reply, if the target [keeps them](crate::Target::keeping_replies).
    pub reply_headers: ReplyHeaders,
    /// The duration of the attempt, which exceeds the deadline only slightly, if at all.
    pub duration: Duration,
    /// The durations of the attempt's phases.
    pub timings: Timings,
    /// The number of times the request was sent again within the attempt, because a connection ended before a reply or the
    /// receiver refused the request unprocessed.
    pub repeats: u8,
    /// The hash of the body, if a format has rendered it for one delivery; see [`body_hash`](crate::body_hash).
    pub body_hash: Option<i64>,
}

impl AttemptResult {
    /// Creates the result of an attempt that failed before a connection was used.
    #[must_use]
    pub fn failed(reason: Reason, detail: Box<str>) -> Self {
        Self {
            outcome: Outcome::Failed(reason),
            detail: Some(detail),
            reply: Bytes::new(),
            is_reply_complete: false,
            reply_headers: ReplyHeaders::new(),
            duration: Duration::ZERO,
            timings: Timings::default(),
            repeats: 0,
            body_hash: None,
        }
    }
}
