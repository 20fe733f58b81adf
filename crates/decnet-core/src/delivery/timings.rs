//! The durations of the steps of an attempt.

use std::time::Duration;

/// The duration of each finished step; `None` for a step that was not needed or did not finish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    /// The name resolution.
    pub resolve: Option<Duration>,
    /// The establishment of the TCP connection.
    pub connect: Option<Duration>,
    /// The TLS handshake.
    pub tls: Option<Duration>,
    /// The time from the start of the request on the connection to the headers of the reply.
    pub first_byte: Option<Duration>,
}
