//! Errors: problem details (RFC 9457) on our routes, `{"detail": …}` on DECNET's.
//!
//! Handlers and middleware return a [`Problem`] without knowing their route. It travels in the response's extensions, and
//! [`render`], around the whole router, writes the body. Errors of axum and its layers (404, 405, 408, 413, …) get their
//! body there too.

mod from_store;
mod kind;
mod log_throttle;

use axum::Json;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use decnet_runtime::error_chain::one_line;
use serde::Serialize;
use utoipa::ToSchema;

pub(crate) use self::kind::Kind;

pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// The reason why a request failed. Contains no secret.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Problem details (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Details {
    /// Kind of the problem; stable.
    #[schema(example = "/docs#problem-not-found")]
    r#type: String,
    /// Short text of the kind.
    title: &'static str,
    /// Status of the response.
    status: u16,
    /// Cause of the problem, and what to do about it.
    detail: String,
}

/// An error in DECNET's format.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Detail)]
pub(crate) struct DecnetDetail {
    /// Cause of the error.
    detail: String,
}

impl Problem {
    /// Returns a problem of the kind with this status.
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), headers: Vec::new() }
    }

    /// Returns a problem for something that does not exist (404).
    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, what)
    }

    /// Returns a problem for a value that is not allowed (422).
    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, what)
    }

    /// Returns a problem for a request that cannot be parsed (400).
    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, what)
    }

    /// Returns a problem for a temporary failure (503), with `Retry-After`.
    pub(crate) fn unavailable(what: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, what).with(RETRY_AFTER, HeaderValue::from_static("5"))
    }

    /// Returns a problem for a shortage that usually ends within a second (503), with `Retry-After`.
    pub(crate) fn busy(what: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, what).with(RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// Returns a problem for a request during shutdown (503).
    pub(crate) fn stopping() -> Self {
        Self::unavailable("this server is stopping")
    }

    /// Returns a problem for a failure that passes or that an operator can fix (503). Logs the error; the reply refers to the
    /// log.
    pub(crate) fn unavailable_because(what: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        if let Some(times) = log_throttle::record(what) {
            tracing::warn!(error = %one_line(error), times, "{what}");
        }
        Self::unavailable(format!("{what}; see the log of decnet for the reason"))
    }

    /// Returns a problem for a failure that the client cannot fix (500). Logs the error; the reply refers to the log.
    pub(crate) fn internal(what: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        if let Some(times) = log_throttle::record(what) {
            tracing::error!(error = %one_line(error), times, "{what}");
        }
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{what}; see the log of decnet for the reason"))
    }

    /// Adds a header to the reply.
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Returns the status of the reply, which is also the kind of the problem.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// Returns the cause of the problem.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    fn into_details(self) -> Details {
        let kind = Kind::of(self.status);
        Details { r#type: kind.uri(), title: kind.title, status: kind.status.as_u16(), detail: self.detail }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.headers_mut().extend(self.headers.iter().cloned());
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the body of every problem in the format of its route.
pub(crate) async fn render(request: Request, next: Next) -> Response {
    let is_decnets = is_decnets(request.uri().path());
    let response = next.run(request).await;
    let (mut parts, _) = match response.extensions().get::<Problem>() {
        None if !is_bare_refusal(&response) => return response,
        _ => response.into_parts(),
    };
    let problem = parts.extensions.remove().unwrap_or_else(|| of_status(parts.status));
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.remove(CONTENT_TYPE);
    let mut rendered = if is_decnets {
        (parts.status, Json(DecnetDetail { detail: problem.detail })).into_response()
    } else {
        (parts.status, [(CONTENT_TYPE, MEDIA_TYPE)], Json(problem.into_details())).into_response()
    };
    rendered.headers_mut().extend(parts.headers);
    rendered
}

/// Returns whether the path belongs to DECNET's routes.
pub(crate) fn is_decnets(path: &str) -> bool {
    let rest = path.strip_prefix("/api/v1/webhooks");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns whether a response is an error that has no JSON or HTML body yet.
fn is_bare_refusal(response: &Response) -> bool {
    let has_body = |value: &HeaderValue| {
        value.as_bytes().ends_with(b"json") || value.as_bytes().starts_with(b"text/html")
    };
    let is_failure = response.status().is_client_error() || response.status().is_server_error();
    is_failure && !response.headers().get(CONTENT_TYPE).is_some_and(has_body)
}

fn of_status(status: StatusCode) -> Problem {
    let detail = match status {
        StatusCode::NOT_FOUND => "the path does not exist; see /docs for the available paths",
        StatusCode::METHOD_NOT_ALLOWED => "this path does not support the method; see the header Allow",
        StatusCode::PAYLOAD_TOO_LARGE => "the request body is too large",
        other => other.canonical_reason().unwrap_or("request failed"),
    };
    Problem::new(status, detail)
}
