//! Why an attempt got no reply: the closed reason from the error's source chain, and a short text for people.

use decnet_core::delivery::{Outcome, Reason};

use super::connect::Error as ConnectError;
use super::{http1, http2, texts};

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
        use http1::Error;
        let reason = match &error {
            Error::TooLarge | Error::Malformed(_) | Error::Stray | Error::Encrypted => Reason::Protocol,
            // TLS 1.3 lets a receiver refuse a client without a certificate after the handshake (RFC 8446 section 4.4.2.4).
            Error::Lost(error) if texts::tls_cause(error).is_some() => Reason::Tls,
            Error::Unsent | Error::Closed | Error::Lost(_) => Reason::Disconnected,
        };
        Self::new(reason, error.to_string())
    }
}

/// The same over HTTP/2.
impl From<http2::Error> for Fault {
    fn from(error: http2::Error) -> Self {
        use http2::Error;
        let reason = match &error {
            Error::Rules(_) | Error::Flooded | Error::Http1Required => Reason::Protocol,
            Error::Lost(error) if texts::is_alert(error) => Reason::Tls,
            Error::Unsent | Error::Unprocessed(_) | Error::Closed | Error::Lost(_) | Error::Reset(_) => {
                Reason::Disconnected
            }
            Error::Internal(_) => Reason::Internal,
        };
        Self::new(reason, error.to_string())
    }
}
