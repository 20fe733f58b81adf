//! The setup page: one small script and one small style sheet, without external resources.

use axum::Json;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::response::{Html, IntoResponse as _, Response};
use decnet_core::access::ApiToken;
use serde::Deserialize;
use serde_json::json;

use crate::problem::Problem;

/// The content type of a form.
pub(super) const FORM: &[u8] = b"application/x-www-form-urlencoded";

const POLICY: (HeaderName, HeaderValue) = (
    CONTENT_SECURITY_POLICY,
    HeaderValue::from_static(
        "default-src 'none'; script-src 'self'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
);

const TOP: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
    <title>decnet: first token</title>\n<link rel=\"stylesheet\" href=\"/setup.css\">\n<h1>decnet</h1>\n";
const FORM_PART: &str = "<p>This creates the first token of the HTTP API, with the scope <code>admin</code>. \
    It is shown until it is first used.</p>\n<form method=\"post\" action=\"/setup\">\n\
    <p><label>Code from the link <input id=\"code\" name=\"code\" required autocomplete=\"off\" size=\"50\"></label></p>\n\
    <p><button>Create the token</button></p>\n</form>\n<script src=\"/setup.js\"></script>\n";

/// Moves the code from the address into the form, so that the browser history does not keep it.
const SCRIPT: &str = "document.getElementById('code').value = location.hash.slice(1);\n\
    history.replaceState(null, '', '/setup');\n";

const STYLE: &str = "body { max-width: 42rem; margin: 3rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; }\n\
    label { display: block; }\n\
    input, button { font: inherit; padding: .4rem .6rem; }\n\
    input { display: block; box-sizing: border-box; width: 100%; font-family: monospace; }\n\
    pre { padding: .6rem; border: 1px solid; overflow-wrap: anywhere; white-space: pre-wrap; user-select: all; }\n";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetupRequest {
    code: String,
}

pub(super) async fn form() -> Response {
    ([POLICY], Html(format!("{TOP}{FORM_PART}"))).into_response()
}

pub(super) async fn script() -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"))], SCRIPT).into_response()
}

pub(super) async fn style() -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"))], STYLE).into_response()
}

/// Returns the page for a rejected form. Its texts are ours and contain nothing from the request.
pub(super) fn refused(problem: &Problem) -> Response {
    let page = format!("{TOP}<p>No token was created: {}.</p>\n", problem.detail());
    let mut response = (problem.kind().status(), [POLICY], Html(page)).into_response();
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

/// Returns the answer with the token.
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
