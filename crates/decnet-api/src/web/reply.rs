//! Pages as responses, and errors as pages.

use std::sync::{Arc, OnceLock};

use axum::extract::Request;
use axum::http::header::{HeaderName, HeaderValue, REFRESH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use decnet_web::page::{ErrorPage, Page};
use decnet_web::{Frame, encode};

use super::guard::Nonce;
use crate::problem::{Kind, Problem};

/// The header of requests by htmx.
pub(super) const HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");
/// The header that makes htmx load the page anew.
const HX_REFRESH: HeaderName = HeaderName::from_static("hx-refresh");
/// The header with the relation of the page that caused a request (Fetch Metadata Request Headers).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A page, or the problem that prevented it.
pub(super) type PageReply = Result<Response, Problem>;

/// The frame of the request's session, for an error page.
#[derive(Clone, Default)]
pub(super) struct FrameSlot(Arc<OnceLock<Frame>>);

impl FrameSlot {
    /// Stores the frame. Only the first call has an effect.
    pub(super) fn set(&self, frame: Frame) {
        drop(self.0.set(frame));
    }
}

/// What an error page needs of its request.
pub(super) struct Seen {
    /// The path and the query.
    pub(super) url: String,
    /// Whether the request reads.
    pub(super) is_get: bool,
    /// Whether an open page refreshes itself.
    pub(super) is_refresh: bool,
    /// Whether a page of another site leads here. The browser then sends no cookie.
    is_from_elsewhere: bool,
}

impl Seen {
    pub(super) fn of(request: &Request) -> Self {
        Self::new(request.method(), request.uri(), request.headers())
    }

    pub(super) fn of_parts(parts: &Parts) -> Self {
        Self::new(&parts.method, &parts.uri, &parts.headers)
    }

    fn new(method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        let url = uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        Self {
            url,
            is_get: matches!(*method, Method::GET | Method::HEAD),
            is_refresh: headers.contains_key(HX_REQUEST),
            is_from_elsewhere: headers.get(SEC_FETCH_SITE).is_some_and(|site| site == "cross-site"),
        }
    }
}

/// Returns a page as a response.
///
/// # Errors
/// The page cannot be rendered.
pub(super) fn page(page: &impl Page) -> PageReply {
    let html = page.html().map_err(|error| Problem::internal("a page cannot be rendered", &error))?;
    Ok(Html(html).into_response())
}

/// Turns a problem into a page, or into the way to the login.
pub(super) fn render_problem(response: Response, seen: &Seen, frame: &FrameSlot, nonce: &Nonce) -> Response {
    let Some(problem) = response.extensions().get::<Problem>().cloned() else { return response };
    if problem.status() == StatusCode::UNAUTHORIZED {
        return to_login(seen);
    }
    let frame = frame.0.get().cloned().unwrap_or_default();
    let kind = Kind::of(problem.status());
    let shown = ErrorPage {
        frame: Frame { nonce: nonce.0.to_string(), version: env!("CARGO_PKG_VERSION"), ..frame },
        status: problem.status().as_u16(),
        title: kind.title,
        detail: capitalized(problem.detail()),
    };
    let page = page(&shown).unwrap_or_else(Problem::into_response);
    let mut rendered = (problem.status(), page).into_response();
    rendered.headers_mut().extend(problem.headers().iter().cloned());
    rendered
}

/// Leads to the login. A visitor who follows a link from another site may have a session whose cookie was not sent: the page
/// then loads itself once more, and the browser sends the cookie.
fn to_login(seen: &Seen) -> Response {
    if seen.is_refresh {
        return (StatusCode::UNAUTHORIZED, [(HX_REFRESH, HeaderValue::from_static("true"))], Html(""))
            .into_response();
    }
    if seen.is_get && seen.is_from_elsewhere {
        let again = HeaderValue::try_from(format!("0; url={}", seen.url));
        return (again.map(|again| [(REFRESH, again)]).ok(), Html("")).into_response();
    }
    let next =
        if seen.is_get && seen.url != "/" { format!("?next={}", encode(&seen.url)) } else { String::new() };
    Redirect::to(&format!("/login{next}")).into_response()
}

/// Returns a sentence of an error as people read it.
pub(super) fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}
