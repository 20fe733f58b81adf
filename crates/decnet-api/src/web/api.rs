//! Calls of the API's routes within the process.

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Extension, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, IF_MATCH};
use axum::http::{Method, Uri};
use decnet_core::limits::MAX_DASHBOARD_READ_BYTES;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::Service as _;

use super::visitor::Visitor;
use crate::problem::Problem;
use crate::state::Shared;

/// The routes of the API, without the layers that the request to a page has already passed.
pub(super) struct ApiRoutes(Router);

impl ApiRoutes {
    pub(super) fn new(router: Router<Shared>, state: &Shared) -> Self {
        Self(router.layer(Extension(Shared::clone(state))).with_state(Shared::clone(state)))
    }

    /// Reads with the credential of a session.
    ///
    /// # Errors
    /// The API rejects the request.
    pub(super) async fn get<T: DeserializeOwned>(&self, visitor: &Visitor, path: &str) -> Result<T, Problem> {
        parse(&self.read(visitor, path).await?)
    }

    /// Reads with the credential of a session, and returns the body.
    ///
    /// # Errors
    /// The API rejects the request.
    pub(super) async fn read(&self, visitor: &Visitor, path: &str) -> Result<Bytes, Problem> {
        self.call(visitor, request(Method::GET, path, None)?).await
    }

    /// Changes something with the credential of a session. An empty response is null.
    ///
    /// # Errors
    /// The API rejects the request.
    pub(super) async fn change<T: DeserializeOwned>(
        &self,
        visitor: &Visitor,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<T, Problem> {
        let body = self.call(visitor, request(method, path, body)?).await?;
        parse(if body.is_empty() { b"null" } else { &body })
    }

    /// Changes something by a merge patch, unless it was changed since this version.
    ///
    /// # Errors
    /// The API rejects the request.
    pub(super) async fn change_if<T: DeserializeOwned>(
        &self,
        visitor: &Visitor,
        path: &str,
        patch: Value,
        version: &str,
    ) -> Result<T, Problem> {
        let mut request = request(Method::PATCH, path, Some(patch))?;
        let version = HeaderValue::try_from(version);
        request.headers_mut().extend(version.ok().map(|version| (IF_MATCH, version)));
        parse(&self.call(visitor, request).await?)
    }

    async fn call(&self, visitor: &Visitor, mut request: Request) -> Result<Bytes, Problem> {
        let bearer = HeaderValue::try_from(format!("Bearer {}", visitor.session.bearer.expose()));
        request.headers_mut().extend(bearer.ok().map(|bearer| (AUTHORIZATION, bearer)));
        request.extensions_mut().insert(visitor.peer);
        request.extensions_mut().insert(visitor.requester.clone());
        let Ok(response) = self.0.clone().call(request).await;
        if let Some(problem) = response.extensions().get::<Problem>() {
            return Err(problem.clone());
        }
        let body = to_bytes(response.into_body(), MAX_DASHBOARD_READ_BYTES).await;
        body.map_err(|error| Problem::internal("a response of the API is too large for its page", &error))
    }
}

fn request(method: Method, path: &str, body: Option<Value>) -> Result<Request, Problem> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method;
    let uri = format!("/api/v1{path}").parse::<Uri>();
    *request.uri_mut() = uri.map_err(|_| Problem::not_found("the address is invalid"))?;
    if let Some(body) = body {
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Body::from(body.to_string());
    }
    Ok(request)
}

/// Parses a response of the API.
pub(super) fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(json).map_err(|error| unreadable(&error))
}

/// Returns the problem of a response that its page cannot read.
pub(super) fn unreadable(error: &serde_json::Error) -> Problem {
    Problem::internal("a page cannot read a response of the API", error)
}
