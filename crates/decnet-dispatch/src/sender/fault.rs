//! Why an attempt got no reply: the closed reason from the error's source chain, and a short text for people.

use std::error::Error as _;
use std::io;

use decnet_core::delivery::Reason;

use super::connect::Error as ConnectError;
use super::http1;

/// An attempt without a reply.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) reason: Reason,
    pub(super) detail: Box<str>,
}

impl Fault {
    pub(super) fn new(reason: Reason, detail: impl Into<Box<str>>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

impl From<ConnectError> for Fault {
    fn from(error: ConnectError) -> Self {
        let reason = match &error {
            ConnectError::Resolve(_) => Reason::Resolve,
            ConnectError::Forbidden(_) => Reason::Forbidden,
            ConnectError::Dial { source, .. } if is_out_of_descriptors(source) => {
                return Self::new(Reason::Internal, "too many open files; raise LimitNOFILE (ulimit -n)");
            }
            ConnectError::Dial { .. } => Reason::Connect,
            ConnectError::Tls(_) => Reason::Tls,
            ConnectError::Greeting(_) => Reason::Disconnected,
        };
        Self::new(reason, error.to_string())
    }
}

/// A request went out, or may have, and no reply came back.
impl From<http1::Error> for Fault {
    fn from(error: http1::Error) -> Self {
        let reason = match &error {
            http1::Error::TooLarge | http1::Error::Malformed(_) => Reason::Protocol,
            http1::Error::Unsent | http1::Error::Closed | http1::Error::Lost(_) => Reason::Disconnected,
        };
        Self::new(reason, error.to_string())
    }
}

/// The same over HTTP/2.
impl From<hyper::Error> for Fault {
    fn from(error: hyper::Error) -> Self {
        if error.is_parse_too_large() {
            return Self::new(Reason::Protocol, "the reply's headers are too large");
        }
        if error.is_parse() {
            return Self::new(Reason::Protocol, format!("the reply is no HTTP ({})", innermost(&error)));
        }
        if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
            return Self::new(Reason::Disconnected, "the receiver closed the connection before its reply");
        }
        Self::new(Reason::Disconnected, format!("connection lost before the reply ({})", innermost(&error)))
    }
}

fn innermost(error: &hyper::Error) -> String {
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(|cause| cause.source()) {
        cause = Some(deeper);
    }
    cause.map_or_else(|| error.to_string(), ToString::to_string)
}

/// `EMFILE` and `ENFILE`: the receiver is not to blame.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24))
}
