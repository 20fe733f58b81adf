//! Why an attempt got no reply: the closed reason from the error's source chain, and a short text for people.

use std::error::Error as _;

use decnet_core::delivery::{Outcome, Reason};

use super::connect::Error as ConnectError;
use super::{http1, texts};

/// An attempt without a reply.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) outcome: Outcome,
    pub(super) detail: Box<str>,
}

impl Fault {
    pub(super) fn new(reason: Reason, detail: impl Into<Box<str>>) -> Self {
        Self { outcome: Outcome::Failed(reason), detail: detail.into() }
    }
}

impl Fault {
    /// The same on a connection whose receiver asked for a client certificate and got none. With TLS 1.3 a receiver hangs up
    /// after the handshake (RFC 8446 section 4.4.2.4), and its alert may not be seen.
    pub(super) fn after_request_for_certificate(self) -> Self {
        if self.outcome != Outcome::Failed(Reason::Disconnected) {
            return self;
        }
        let text =
            "the receiver hung up after it asked for a client certificate, and decnet has none to present";
        Self::new(Reason::Tls, text)
    }
}

impl From<ConnectError> for Fault {
    fn from(error: ConnectError) -> Self {
        let outcome = match &error {
            local if local.is_local() => Outcome::LocalFault,
            ConnectError::Resolve(_) => Outcome::Failed(Reason::Resolve),
            ConnectError::Forbidden(_) => Outcome::Failed(Reason::Forbidden),
            ConnectError::Shortage(_) | ConnectError::Dial { .. } => Outcome::Failed(Reason::Connect),
            ConnectError::Tls { .. } => Outcome::Failed(Reason::Tls),
            ConnectError::Greeting(_) => Outcome::Failed(Reason::Disconnected),
        };
        Self { outcome, detail: error.to_string().into() }
    }
}

/// A request went out, or may have, and no reply came back.
impl From<http1::Error> for Fault {
    fn from(error: http1::Error) -> Self {
        let reason = match &error {
            http1::Error::TooLarge | http1::Error::Malformed(_) | http1::Error::Encrypted => Reason::Protocol,
            // TLS 1.3 lets a receiver refuse a client without a certificate after the handshake (RFC 8446 section 4.4.2.4).
            http1::Error::Lost(error) if texts::tls_cause(error).is_some() => Reason::Tls,
            http1::Error::Unsent | http1::Error::Closed | http1::Error::Lost(_) => Reason::Disconnected,
        };
        Self::new(reason, error.to_string())
    }
}

/// The same over HTTP/2.
impl From<hyper::Error> for Fault {
    fn from(error: hyper::Error) -> Self {
        let broken = error
            .source()
            .and_then(|cause| cause.downcast_ref::<h2::Error>())
            .filter(|cause| cause.is_library());
        if broken.is_some() {
            return Self::new(Reason::Protocol, texts::http2(&error));
        }
        if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
            return Self::new(Reason::Disconnected, "the receiver closed the connection before its reply");
        }
        let reason = if texts::is_alert(&error) { Reason::Tls } else { Reason::Disconnected };
        Self::new(reason, format!("connection lost before the reply ({})", texts::http2(&error)))
    }
}
