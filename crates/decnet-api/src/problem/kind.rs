//! The kinds of problems, with their stable names, titles and statuses.

use axum::http::StatusCode;

/// The kind of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request or its body cannot be parsed.
    Malformed,
    /// The credential is missing or invalid.
    Unauthenticated,
    /// The credential is valid but lacks the permission.
    Forbidden,
    /// The resource does not exist.
    NotFound,
    /// The path exists but does not support the method.
    MethodNotAllowed,
    /// The request did not arrive in time.
    Timeout,
    /// The request conflicts with existing data.
    Conflict,
    /// The body exceeds its limit.
    TooLarge,
    /// The body is not JSON by its headers, or is compressed.
    UnsupportedMediaType,
    /// A value is well-formed but not allowed.
    Invalid,
    /// A rate limit is exceeded.
    TooMany,
    /// The request line and headers exceed their limit.
    HeadTooLarge,
    /// The server failed.
    Internal,
    /// The transfer coding is not supported.
    NotImplemented,
    /// The failure is temporary.
    Unavailable,
    /// There was no response in time; the operation may still complete.
    Overdue,
}

impl Kind {
    /// All kinds, for the documentation page.
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
            Self::Malformed => (StatusCode::BAD_REQUEST, "malformed", "Malformed request"),
            Self::Unauthenticated => {
                (StatusCode::UNAUTHORIZED, "unauthenticated", "Missing or invalid credentials")
            }
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "Permission denied"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "Not found"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed")
            }
            Self::Timeout => (StatusCode::REQUEST_TIMEOUT, "timeout", "Request timeout"),
            Self::Conflict => (StatusCode::CONFLICT, "conflict", "Conflict with existing data"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Request body too large"),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Unsupported media type")
            }
            Self::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Invalid value"),
            Self::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too-many", "Too many requests"),
            Self::HeadTooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "head-too-large",
                "Request line or headers too large",
            ),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal server error"),
            Self::NotImplemented => {
                (StatusCode::NOT_IMPLEMENTED, "not-implemented", "Transfer coding not supported")
            }
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Service unavailable"),
            Self::Overdue => (StatusCode::GATEWAY_TIMEOUT, "overdue", "No response in time"),
        }
    }

    pub(crate) fn status(self) -> StatusCode {
        self.row().0
    }

    pub(crate) fn title(self) -> &'static str {
        self.row().2
    }

    /// Returns the `type`: a reference to the documentation page, relative to the server.
    pub(crate) fn uri(self) -> String {
        format!("/docs#problem-{}", self.row().1)
    }

    /// Returns the kind with this status. Other statuses are malformed requests or internal errors.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let named = Self::ALL.into_iter().find(|kind| kind.status() == status);
        named.unwrap_or(if status.is_server_error() { Self::Internal } else { Self::Malformed })
    }
}
