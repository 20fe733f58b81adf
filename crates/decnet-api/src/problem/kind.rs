//! The kinds of problems: their stable names, titles and statuses.

use axum::http::StatusCode;

/// What kind of problem it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request, or its body, cannot be read.
    Malformed,
    /// No credentials, or ones that count for nothing.
    Unauthenticated,
    /// Good credentials, for something else.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// The path is there, and takes other methods.
    MethodNotAllowed,
    /// It took too long to come.
    Timeout,
    /// It does not go with what is there.
    Conflict,
    /// The body is larger than is read.
    TooLarge,
    /// By its headers the body is not JSON, or is compressed.
    UnsupportedMediaType,
    /// It can be read and makes no sense.
    Invalid,
    /// More requests than are allowed.
    TooMany,
    /// Request line and headers are larger than is read.
    HeadTooLarge,
    /// A fault of ours.
    Internal,
    /// A transfer coding that is not decoded here.
    NotImplemented,
    /// Not now.
    Unavailable,
    /// No answer in time: it may have been done.
    Overdue,
}

impl Kind {
    /// All of them, for the page that explains them.
    pub(crate) const ALL: [Self; 16] = [
        Self::Malformed,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Timeout,
        Self::Conflict,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::Invalid,
        Self::TooMany,
        Self::HeadTooLarge,
        Self::Internal,
        Self::NotImplemented,
        Self::Unavailable,
        Self::Overdue,
    ];

    fn row(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Malformed => (StatusCode::BAD_REQUEST, "malformed", "The request cannot be read"),
            Self::Unauthenticated => {
                (StatusCode::UNAUTHORIZED, "unauthenticated", "Credentials are missing or count for nothing")
            }
            Self::Forbidden => {
                (StatusCode::FORBIDDEN, "forbidden", "These credentials are for something else")
            }
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is no such thing"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "This path takes other methods")
            }
            Self::Timeout => (StatusCode::REQUEST_TIMEOUT, "timeout", "The request took too long to come"),
            Self::Conflict => (StatusCode::CONFLICT, "conflict", "It does not go with what is there"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large"),
            Self::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "The body is not sent as plain JSON",
            ),
            Self::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "A value is refused"),
            Self::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too-many", "Too many requests"),
            Self::HeadTooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "head-too-large",
                "Request line and headers are too large",
            ),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "A fault of the server"),
            Self::NotImplemented => {
                (StatusCode::NOT_IMPLEMENTED, "not-implemented", "The transfer coding is not supported")
            }
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not now"),
            Self::Overdue => (StatusCode::GATEWAY_TIMEOUT, "overdue", "No answer in time"),
        }
    }

    pub(crate) fn status(self) -> StatusCode {
        self.row().0
    }

    pub(crate) fn title(self) -> &'static str {
        self.row().2
    }

    /// Its `type`: a reference to the place that explains it, relative to the server.
    pub(crate) fn uri(self) -> String {
        format!("/docs#problem-{}", self.row().1)
    }

    /// The kind that has this status; what has none of its own is malformed, or a fault of ours.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let named = Self::ALL.into_iter().find(|kind| kind.status() == status);
        named.unwrap_or(if status.is_server_error() { Self::Internal } else { Self::Malformed })
    }
}
