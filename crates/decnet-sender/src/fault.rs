//! The reason why an attempt got no reply, and its description for operators.

use decnet_core::delivery::{Outcome, Reason};

use crate::connect::Error as ConnectError;

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
