//! The documentation page of the API, embedded and without external resources.

use axum::Router;
use axum::body::Bytes;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::routing::{MethodRouter, get};

use crate::problem::Kind;
use crate::state::Shared;

/// Allows only resources of this server, and neither inline scripts nor inline styles.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Adds the page to the router.
pub(crate) fn serve(router: Router<Shared>) -> Router<Shared> {
    router
        .route("/docs", file("text/html; charset=utf-8", html()))
        .route("/docs/page.js", file("text/javascript; charset=utf-8", include_str!("page.js")))
        .route("/docs/page.css", file("text/css; charset=utf-8", include_str!("page.css")))
}

fn file(media_type: &'static str, text: impl Into<Bytes>) -> MethodRouter<Shared> {
    let headers =
        [(CONTENT_TYPE, media_type), (CONTENT_SECURITY_POLICY, POLICY), (CACHE_CONTROL, "no-cache")];
    get((headers, text.into()))
}

/// Returns the page with the table of problem kinds.
fn html() -> String {
    let row = |kind: Kind| {
        let (uri, status, title) = (kind.uri(), kind.status.as_u16(), kind.title);
        let id = uri.rsplit('#').next().unwrap_or_default();
        format!("<tr id=\"{id}\"><td><code>{uri}</code></td><td>{status}</td><td>{title}</td></tr>\n")
    };
    let rows = Kind::ALL.map(row).concat();
    include_str!("page.html").replace("<!-- problems -->", &rows)
}
