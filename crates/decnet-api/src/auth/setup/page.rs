//! The setup page: one small script and one small style sheet, without external resources.

use axum::Json;
use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderName};
use axum::response::{Html, IntoResponse, Response};
use decnet_core::access::ApiToken;
use serde::Deserialize;
use serde_json::json;

use crate::problem::Problem;

/// The content type of a form.
pub(super) const FORM: &[u8] = b"application/x-www-form-urlencoded";

const POLICY: (HeaderName, &str) = (
    CONTENT_SECURITY_POLICY,
    "default-src 'none'; script-src 'self'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
);

const TOP: &str = include_str!("top.html");
const FORM_PART: &str = include_str!("form.html");

/// Moves the code from the address into the form, so that the browser history does not keep it.
pub(super) const SCRIPT: &str = include_str!("setup.js");

pub(super) const STYLE: &str = include_str!("setup.css");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetupRequest {
    code: String,
}

/// Returns the page with the form.
pub(super) fn form() -> impl IntoResponse + Clone + Send + Sync + 'static {
    ([POLICY], Html(format!("{TOP}{FORM_PART}")))
}

/// Returns the page for a rejected form. The text contains nothing from the request.
pub(super) fn refused(problem: &Problem) -> Response {
    let page = format!("{TOP}<p>No token was created: {}.</p>\n", problem.detail());
    let mut response = (problem.status(), [POLICY], Html(page)).into_response();
    response.headers_mut().extend(problem.headers().iter().cloned());
    response
}

/// Returns the code in a body. A form needs no decoding: codes contain no characters that a form encodes.
pub(super) fn code(body: &[u8], is_form: bool) -> Option<String> {
    if !is_form {
        return serde_json::from_slice::<SetupRequest>(body).ok().map(|request| request.code);
    }
    str::from_utf8(body).ok()?.strip_prefix("code=").map(|code| code.trim_end().to_owned())
}

/// Returns the response with the token.
pub(super) fn done(token: &ApiToken, as_page: bool) -> Response {
    let text = token.expose();
    if !as_page {
        return Json(json!({"id": token.id(), "token": text})).into_response();
    }
    let note = "<p>It is not shown again after its first use; store it like a password. Requests send it as a header:</p>\n";
    let header = format!("<pre>Authorization: Bearer {text}</pre>\n");
    let next =
        "<p>See <a href=\"/docs\">the API documentation</a>, with a curl command for each operation.</p>\n";
    let token = format!("<p>The token:</p>\n<pre id=\"token\">{text}</pre>\n");
    ([POLICY], Html(format!("{TOP}{token}{note}{header}{next}"))).into_response()
}
