//! What went wrong: RFC 9457 problem details on our routes, `{"detail": …}` on DECNET's.
//!
//! Handlers and layers answer with a [`Problem`] and need not know on which route they are: it travels in the
//! response's extensions, and [`render`], around the whole router, writes the body. What axum and its layers refuse
//! by themselves (404, 405, 408, 413, …) gets its body there too.

mod kind;
mod of_errors;
mod said;

use axum::Json;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

pub(crate) use self::kind::Kind;

pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request came to nothing. Shows no secret.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Problem details (RFC 9457): what went wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Details {
    /// What kind of problem it is; stable.
    #[schema(example = "/docs#problem-not-found")]
    r#type: String,
    /// The same for people.
    title: &'static str,
    /// The reply's status.
    status: u16,
    /// What went wrong this time, and what to do about it.
    detail: String,
}

/// An error as DECNET says it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Detail)]
pub(crate) struct DecnetDetail {
    /// What went wrong.
    detail: String,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), headers: Vec::new() }
    }

    /// There is no such thing.
    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, what)
    }

    /// A value that is understood and refused.
    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, what)
    }

    /// Nothing that can be read.
    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        Self::new(Kind::Malformed, what)
    }

    /// Not now.
    pub(crate) fn unavailable(what: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, what)
            .with(axum::http::header::RETRY_AFTER, HeaderValue::from_static("5"))
    }

    /// The server stops.
    pub(crate) fn stopping() -> Self {
        Self::unavailable("this server is stopping")
    }

    /// Something that must be waited for, or mended by an operator. It is logged; the reply says where to look.
    pub(crate) fn in_the_way(what: &'static str, error: &dyn std::error::Error) -> Self {
        if let Some(unsaid) = said::again(what) {
            tracing::warn!(error = %chain(error), unsaid, "{what}");
        }
        Self::unavailable(format!("{what}; the log of decnet says why"))
    }

    /// Nothing that whoever asked could mend. It is logged; the reply says as much as they need to ask about it.
    pub(crate) fn internal(what: &'static str, error: &dyn std::error::Error) -> Self {
        if let Some(unsaid) = said::again(what) {
            tracing::error!(error = %chain(error), unsaid, "{what}");
        }
        Self::new(Kind::Internal, format!("{what}; the log of decnet says more"))
    }

    /// With a header in the reply.
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// What went wrong this time.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    fn details(&self) -> Details {
        let Self { kind, detail, .. } = self;
        Details {
            r#type: kind.uri(),
            title: kind.title(),
            status: kind.status().as_u16(),
            detail: detail.clone(),
        }
    }
}

/// An error and its causes in one line, without those that the line says already.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let (mut line, mut next) = (error.to_string(), error.source());
    while let Some(cause) = next {
        let text = cause.to_string();
        if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
        next = cause.source();
    }
    line
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        response.headers_mut().extend(self.headers.iter().cloned());
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the body of every problem in the manner of its route.
pub(crate) async fn render(request: Request, next: Next) -> Response {
    let is_decnets = is_decnets(request.uri().path());
    let response = next.run(request).await;
    let (mut parts, _) = match response.extensions().get::<Problem>() {
        None if !is_bare_refusal(&response) => return response,
        _ => response.into_parts(),
    };
    let problem = parts.extensions.remove().unwrap_or_else(|| of_status(parts.status));
    parts.headers.remove(axum::http::header::CONTENT_LENGTH);
    parts.headers.remove(CONTENT_TYPE);
    let mut rendered = if is_decnets {
        (parts.status, Json(DecnetDetail { detail: problem.detail })).into_response()
    } else {
        let media_type = [(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))];
        (parts.status, media_type, Json(problem.details())).into_response()
    };
    rendered.headers_mut().extend(parts.headers);
    rendered
}

/// Is this a route of DECNET's?
pub(crate) fn is_decnets(path: &str) -> bool {
    let rest = path.strip_prefix("/api/v1/webhooks");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A failure that no handler of ours has put into words.
fn is_bare_refusal(response: &Response) -> bool {
    let is_said = |value: &HeaderValue| {
        value.as_bytes().ends_with(b"json") || value.as_bytes().starts_with(b"text/html")
    };
    let is_failure = response.status().is_client_error() || response.status().is_server_error();
    is_failure && !response.headers().get(CONTENT_TYPE).is_some_and(is_said)
}

fn of_status(status: StatusCode) -> Problem {
    match status {
        StatusCode::NOT_FOUND => Problem::not_found("there is no such path; /docs shows which there are"),
        StatusCode::METHOD_NOT_ALLOWED => {
            Problem::new(Kind::MethodNotAllowed, "the header Allow names the methods that this path takes")
        }
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(Kind::TooLarge, "the body is too large"),
        other => Problem::new(Kind::of_status(other), other.canonical_reason().unwrap_or("refused")),
    }
}
