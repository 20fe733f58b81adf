//! Who asks, and what they may do.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::problem::{Kind, Problem};

/// What credentials are good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Look at everything but secrets.
    Read,
    /// Hand events in.
    Publish,
    /// Everything.
    Admin,
}

impl Scope {
    /// As tokens and the OpenAPI document name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Publish => "publish",
            Self::Admin => "admin",
        }
    }
}

/// Lets a request through to a route that asks for `scope`. As long as there are no credentials at all, nobody has it.
pub(crate) async fn require(_scope: Scope, _request: Request, _next: Next) -> Response {
    Problem::new(Kind::Unauthenticated, "Could not validate credentials").into_response()
}
