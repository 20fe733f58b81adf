//! The kinds of problems, with their stable names and titles. Each status has one kind.

use axum::http::StatusCode;

/// The kind of the problems with one status.
pub(crate) struct Kind {
    pub(crate) status: StatusCode,
    name: &'static str,
    pub(crate) title: &'static str,
}

impl Kind {
    /// All kinds, for the documentation page.
    pub(crate) const ALL: [Self; 17] = [
        Self::new(StatusCode::BAD_REQUEST, "malformed", "Malformed request"),
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "Missing or invalid credentials"),
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Permission denied"),
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found"),
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed"),
        // The request did not arrive in time.
        Self::new(StatusCode::REQUEST_TIMEOUT, "timeout", "Request timeout"),
        Self::new(StatusCode::CONFLICT, "conflict", "Conflict with existing data"),
        Self::new(StatusCode::PRECONDITION_FAILED, "outdated", "Changed in the meantime"),
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Request body too large"),
        // The body is not JSON by its headers, or is compressed.
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Unsupported media type"),
        // A value is well-formed but not allowed.
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Invalid value"),
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many", "Too many requests"),
        Self::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "head-too-large",
            "Request line or headers too large",
        ),
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal server error"),
        Self::new(StatusCode::NOT_IMPLEMENTED, "not-implemented", "Transfer coding not supported"),
        // The failure is temporary.
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Service unavailable"),
        // There was no response in time; the operation may still complete.
        Self::new(StatusCode::GATEWAY_TIMEOUT, "overdue", "No response in time"),
    ];

    const fn new(status: StatusCode, name: &'static str, title: &'static str) -> Self {
        Self { status, name, title }
    }

    /// Returns the kind with this status. Other statuses are malformed requests or internal errors.
    pub(crate) fn of(status: StatusCode) -> Self {
        let class = if status.is_server_error() {
            StatusCode::INTERNAL_SERVER_ERROR
        } else {
            StatusCode::BAD_REQUEST
        };
        let find = |status| Self::ALL.into_iter().find(|kind| kind.status == status);
        find(status).or_else(|| find(class)).expect("all kinds contain both classes")
    }

    /// Returns the `type`: a reference to the documentation page, relative to the server.
    pub(crate) fn uri(&self) -> String {
        format!("/docs#problem-{}", self.name)
    }
}
