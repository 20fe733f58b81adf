//! The reasons for a missing reply, and their consequences for the attempt.

use std::borrow::Cow;
use std::io;

use decnet_core::delivery::Reason;

use crate::fault::Fault;
use crate::pool::Precaution;
use crate::{http1, texts};

/// The reason why a request got no reply on its connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    /// Provably no byte of the request was sent.
    #[error("the connection was closed before the request was sent")]
    Unsent,
    /// The receiver declares that it has not processed the request (RFC 9113 sections 6.8 and 8.7).
    #[error("the receiver refused the request without processing it (HTTP/2 {})", texts::code_name(*.0))]
    Unprocessed(h2::Reason),
    #[error("the receiver requires HTTP/1.1")]
    Http1Required,
    #[error("the receiver closed the connection before its reply")]
    Closed,
    /// The connection was lost; `is_tls` is whether an error of TLS is the cause.
    #[error("connection lost before the reply ({cause})")]
    Lost { cause: Cow<'static, str>, is_tls: bool },
    /// The receiver sent bytes after its previous reply.
    #[error("the receiver sent bytes outside a reply")]
    Unsolicited,
    #[error("the receiver sent more data over HTTP/2 than replies may hold; using HTTP/1.1 for some minutes")]
    Flooded,
    #[error("the reply's headers are too large")]
    TooLarge,
    #[error("the reply is not valid HTTP ({0})")]
    Malformed(#[from] http1::MalformedHead),
    #[error("the port speaks TLS; use https:// in the URL")]
    Encrypted,
    /// The receiver violated HTTP/2, or sent headers that are too large.
    #[error("{0}")]
    Violation(Cow<'static, str>),
    /// The receiver reset the stream.
    #[error("no reply: {0}")]
    Reset(Cow<'static, str>),
    /// An incorrect use of the HTTP/2 library.
    #[error("internal: the request cannot be sent over HTTP/2")]
    Internal,
}

/// The failure of a request that got no reply on a connection, and its consequences.
pub(crate) struct NoReply {
    pub(crate) fault: Fault,
    pub(crate) kind: NoReplyKind,
    /// The precaution to take for further connections to the origin.
    pub(crate) precaution: Option<Precaution>,
    /// Whether the connection can still be used.
    pub(crate) leaves_connection_open: bool,
}

/// The known extent to which a request without a reply was processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoReplyKind {
    /// No byte of the request was sent.
    Unsent,
    /// The receiver declares that it did not process the request.
    Unprocessed,
    /// The connection ended before the first byte of a reply.
    ConnectionEnded,
    /// Any other failure: the request may have been processed.
    Unknown,
}

impl ExchangeError {
    /// Returns the error for a connection that was lost with this error.
    pub(crate) fn lost(error: &io::Error) -> Self {
        Self::Lost { cause: texts::io(error), is_tls: texts::tls_cause(error).is_some() }
    }
}

impl NoReply {
    /// Returns the failure of a request; `has_received` is whether any byte of a reply has arrived.
    pub(crate) fn new(error: &ExchangeError, has_received: bool) -> Self {
        use ExchangeError as Error;
        let ended = if has_received { NoReplyKind::Unknown } else { NoReplyKind::ConnectionEnded };
        let (reason, kind) = match error {
            Error::Unsent => (Reason::Disconnected, NoReplyKind::Unsent),
            Error::Unprocessed(_) => (Reason::Disconnected, NoReplyKind::Unprocessed),
            Error::Http1Required => (Reason::Protocol, NoReplyKind::Unprocessed),
            // TLS 1.3 lets a receiver reject a client without a certificate after the handshake (RFC 8446 section 4.4.2.4).
            Error::Lost { is_tls: true, .. } => (Reason::Tls, ended),
            Error::Closed | Error::Lost { .. } => (Reason::Disconnected, ended),
            // The receiver sent unsolicited bytes before the request.
            Error::Unsolicited | Error::Flooded => (Reason::Protocol, NoReplyKind::ConnectionEnded),
            Error::TooLarge | Error::Malformed(_) | Error::Encrypted | Error::Violation(_) => {
                (Reason::Protocol, NoReplyKind::Unknown)
            }
            Error::Reset(_) => (Reason::Disconnected, NoReplyKind::Unknown),
            Error::Internal => (Reason::Internal, NoReplyKind::Unknown),
        };
        let precaution = match error {
            Error::Unsolicited => Some(Precaution::NoReuse),
            Error::Http1Required | Error::Flooded => Some(Precaution::Http1),
            _ => None,
        };
        let leaves_connection_open = matches!(error, Error::Unprocessed(_) | Error::Reset(_));
        Self { fault: Fault::new(reason, error.to_string()), kind, precaution, leaves_connection_open }
    }
}
