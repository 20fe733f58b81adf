//! Open pages are refreshed over streams of server-sent events.
//!
//! Each open page has one stream, which sends the refreshed part of the page whenever it has changed. A part is rendered once per
//! [`DASHBOARD_LIVE_INTERVAL`](decnet_core::limits::DASHBOARD_LIVE_INTERVAL), for all who watch the same address with the same rights ([`fragments`]), so it contains nothing
//! of a single visitor. Streams are limited in number ([`streams`]). A stream ends with its session, with the server, when its page
//! cannot change any more, and when its client does not read ([`stream`]).
//!
//! | event | meaning |
//! |---|---|
//! | `view` | the refreshed part of the page |
//! | `end` | the page does not change any more |
//! | `poll` | refresh the page by requests: the session has more streams than it may have and this one is the oldest, or it has ended |

mod fragments;
mod stream;
mod streams;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Query, State};
use axum::http::StatusCode;
use axum::http::header::{COOKIE, HOST, HeaderMap};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use self::fragments::{Fragments, Key};
use self::stream::Watcher;
use self::streams::Streams;
use super::SharedDashboard;
use super::visitor::{Visitor, session_id};
use crate::problem::Problem;
use crate::server::ConnectionEnd;

/// The state that all streams share.
struct Live {
    /// The pages, without the checks that the request for the stream has passed.
    pages: Router,
    fragments: Fragments,
    streams: Streams,
}

#[derive(Deserialize)]
struct Watched {
    view: String,
}

/// Returns the route of the streams. `pages` renders what they send.
pub(super) fn routes(pages: Router) -> Router<SharedDashboard> {
    let live = Arc::new(Live { pages, fragments: Fragments::default(), streams: Streams::default() });
    Router::new().route("/live", get(open)).layer(Extension(live))
}

/// Opens the stream of a page.
async fn open(
    State(dashboard): State<SharedDashboard>,
    Extension(live): Extension<Arc<Live>>,
    Extension(end): Extension<ConnectionEnd>,
    visitor: Visitor,
    Query(Watched { view }): Query<Watched>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let is_page = view.starts_with('/') && !view.starts_with("//");
    let uri = view.parse().ok().filter(|_| is_page);
    let uri = uri.ok_or_else(|| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "view: is not a page"))?;
    let permit = live.streams.acquire(&visitor.session)?;
    let key = Key { view, can_change: visitor.frame.can_change };
    let fragment = live.fragments.of(key);
    let id = session_id(&headers).unwrap_or_default().to_owned();
    let found = |name| headers.get(&name).cloned().map(|value| (name, value));
    let headers = [COOKIE, HOST].into_iter().filter_map(found).collect();
    let watcher = Watcher { dashboard, live, visitor, id, uri, headers, fragment, permit, end };
    Ok(stream::start(watcher))
}
