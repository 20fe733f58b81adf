//! The reasons why there is no reply over HTTP/2.

use std::io;

use h2::Reason;

use crate::meter::Meter;
use crate::texts;

/// The reason for a missing reply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The connection accepts no further request.
    #[error("the connection was closed before the request was sent")]
    Unsent,
    /// The receiver declares that it has not processed the request (RFC 9113 sections 6.8 and 8.7).
    #[error("the receiver refused the request without processing it (HTTP/2 {})", texts::code_name(*.0))]
    Unprocessed(Reason),
    #[error("the receiver requires HTTP/1.1")]
    Http1Required,
    #[error("the receiver closed the connection before its reply")]
    Closed,
    #[error("connection lost before the reply ({})", texts::http2(.0))]
    Lost(#[source] h2::Error),
    #[error("the receiver sent more data over HTTP/2 than replies may hold; using HTTP/1.1 for some minutes")]
    Flooded,
    /// The receiver reset the stream.
    #[error("no reply: {}", texts::http2(.0))]
    Reset(#[source] h2::Error),
    /// The receiver violated HTTP/2, or sent headers that are too large.
    #[error("{}", texts::http2(.0))]
    Violation(#[source] h2::Error),
    /// An incorrect use of the library.
    #[error("internal: the request cannot be sent over HTTP/2")]
    Internal(#[source] h2::Error),
}

impl Error {
    pub(super) fn new(error: h2::Error, meter: &Meter) -> Self {
        match error.reason() {
            _ if meter.is_exhausted() => Self::Flooded,
            Some(reason) if error.is_remote() => Self::remote(reason, error),
            Some(Reason::ENHANCE_YOUR_CALM) if !texts::is_about_headers(&error.to_string()) => Self::Flooded,
            Some(_) if error.is_library() => Self::Violation(error),
            _ if error.get_io().is_some_and(is_closed) => Self::Closed,
            _ if error.is_io() => Self::Lost(error),
            _ => Self::Internal(error),
        }
    }

    /// Classifies a reset or a GOAWAY from the receiver. The h2 crate reports a GOAWAY only to streams that the receiver
    /// has not processed.
    fn remote(reason: Reason, error: h2::Error) -> Self {
        match reason {
            Reason::HTTP_1_1_REQUIRED => Self::Http1Required,
            Reason::REFUSED_STREAM => Self::Unprocessed(reason),
            _ if error.is_go_away() => Self::Unprocessed(reason),
            _ => Self::Reset(error),
        }
    }
}

fn is_closed(cause: &io::Error) -> bool {
    matches!(cause.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof)
}
