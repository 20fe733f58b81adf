//! The page that shows the document to people: embedded, without anything from elsewhere.

use std::fmt::Write as _;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::response::Redirect;
use axum::routing::{MethodRouter, get};

use crate::problem::Kind;
use crate::state::Shared;

/// Only what this server itself serves, and no markup but the page's own.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Adds the page to the router, and the way to it from `/`.
pub(crate) fn serve(router: Router<Shared>) -> Router<Shared> {
    router
        // There is no page for people yet but this one.
        .route("/", get(async || Redirect::temporary("/docs")))
        .route("/docs", file("text/html; charset=utf-8", html()))
        .route("/docs/page.js", file("text/javascript; charset=utf-8", include_str!("page/page.js")))
        .route("/docs/page.css", file("text/css; charset=utf-8", include_str!("page/page.css")))
}

fn file(media_type: &'static str, text: impl Into<Bytes>) -> MethodRouter<Shared> {
    let text = text.into();
    get(async move || (headers(media_type), text))
}

fn headers(media_type: &'static str) -> [(HeaderName, HeaderValue); 3] {
    [
        (CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ]
}

/// The page, with what only the program knows.
fn html() -> String {
    let mut rows = String::new();
    for kind in Kind::ALL {
        let (uri, status, title) = (kind.uri(), kind.status().as_u16(), kind.title());
        let id = uri.rsplit('#').next().unwrap_or_default();
        writeln!(rows, "<tr id=\"{id}\"><td><code>{uri}</code></td><td>{status}</td><td>{title}</td></tr>")
            .expect("a String takes all text");
    }
    include_str!("page/page.html").replace("<!-- problems -->", &rows)
}
