//! The reason why an attempt got no reply, and its description for operators.

use decnet_core::delivery::{Outcome, Reason};

use crate::connect::Error as ConnectError;
use crate::{http1, http2, texts};

/// The failure of an attempt that got no reply.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) outcome: Outcome,
    pub(crate) detail: Box<str>,
}

impl Fault {
    pub(crate) fn new(reason: Reason, detail: impl Into<Box<str>>) -> Self {
        Self { outcome: Outcome::Failed(reason), detail: detail.into() }
    }

    /// Returns the fault for a connection whose receiver requested a client certificate and got none. With TLS 1.3 a
    /// receiver rejects that after the handshake (RFC 8446 section 4.4.2.4), and its alert may be lost when it closes the
    /// connection.
    pub(crate) fn after_request_for_certificate(self) -> Self {
        if self.outcome != Outcome::Failed(Reason::Disconnected) {
            return self;
        }
        let text = "the receiver closed the connection after it asked for a client certificate, and decnet has none to present";
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
            ConnectError::Http2Preface(_) => Outcome::Failed(Reason::Disconnected),
        };
        Self { outcome, detail: error.to_string().into() }
    }
}

impl From<http1::Error> for Fault {
    fn from(error: http1::Error) -> Self {
        use http1::Error;
        let reason = match &error {
            Error::TooLarge | Error::Malformed(_) | Error::Unsolicited | Error::Encrypted => Reason::Protocol,
            // TLS 1.3 lets a receiver reject a client without a certificate after the handshake (RFC 8446 section 4.4.2.4).
            Error::Lost(error) if texts::tls_cause(error).is_some() => Reason::Tls,
            Error::Unsent | Error::Closed | Error::Lost(_) => Reason::Disconnected,
        };
        Self::new(reason, error.to_string())
    }
}

impl From<http2::Error> for Fault {
    fn from(error: http2::Error) -> Self {
        use http2::Error;
        let reason = match &error {
            Error::Violation(_) | Error::Flooded | Error::Http1Required => Reason::Protocol,
            Error::Lost(error) if texts::is_alert(error) => Reason::Tls,
            Error::Unsent | Error::Unprocessed(_) | Error::Closed | Error::Lost(_) | Error::Reset(_) => {
                Reason::Disconnected
            }
            Error::Internal(_) => Reason::Internal,
        };
        Self::new(reason, error.to_string())
    }
}
