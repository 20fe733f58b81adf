//! The reason why an attempt got no reply, and its description for operators.

use decnet_core::delivery::{Outcome, Reason};

use crate::connect::{ConnectStep, Error as ConnectError};
use crate::request::Origin;

/// The failure of an attempt that got no reply.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) outcome: Outcome,
    pub(crate) detail: Box<str>,
}

impl Fault {
    pub(crate) fn new(reason: Reason, detail: impl Into<Box<str>>) -> Self {
        Self { outcome: Outcome::Failed(reason), detail: detail.into() }
    }

    /// Returns the fault for a step of connecting to `origin` that was not completed within the deadline.
    pub(crate) fn missed_deadline(step: ConnectStep, origin: &Origin, deadline: &str) -> Self {
        let outcome = if step.is_local() { Outcome::LocalFault } else { Outcome::Failed(Reason::Timeout) };
        Self { outcome, detail: step.timeout_text(origin, deadline).into() }
    }

    /// Returns the fault of a request to the token endpoint at `origin`.
    pub(crate) fn at(self, origin: &Origin) -> Self {
        let detail = format!("the token endpoint {origin}: {}", self.detail).into();
        Self { detail, ..self }
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
            ConnectError::Shortage(_)
            | ConnectError::Dial { .. }
            | ConnectError::Proxy { .. }
            | ConnectError::Tunnel { .. } => Outcome::Failed(Reason::Connect),
            ConnectError::Tls { .. } => Outcome::Failed(Reason::Tls),
            ConnectError::Http2Preface(_) => Outcome::Failed(Reason::Disconnected),
        };
        Self { outcome, detail: error.to_string().into() }
    }
}
