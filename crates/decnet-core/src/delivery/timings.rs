//! Where the time of an attempt went.

use std::time::Duration;

/// How long each finished step took; `None` for a step that was not needed or did not finish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    /// The look-up of the host name.
    pub resolve: Option<Duration>,
    /// TCP.
    pub connect: Option<Duration>,
    /// The TLS handshake.
    pub tls: Option<Duration>,
    /// From the request's being handed to a connection to the reply's headers.
    pub first_byte: Option<Duration>,
}
