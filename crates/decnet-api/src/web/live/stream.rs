//! One stream: what its page shows, as events.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use decnet_core::limits::{DASHBOARD_STREAM_TIMEOUT, MAX_DASHBOARD_READ_BYTES};
use futures_util::stream;
use tokio::sync::mpsc;
use tower::Service as _;

use super::Live;
use super::fragments::{Fragment, event};
use super::streams::Permit;
use crate::problem::Problem;
use crate::server::ConnectionEnd;
use crate::web::SharedDashboard;
use crate::web::reply::HX_REQUEST;
use crate::web::visitor::{self, Shared, Visitor};

/// A comment: it shows whether the client is still there.
const HEARTBEAT: Bytes = Bytes::from_static(b":\n\n");
/// Asks proxies to forward events at once.
const NO_BUFFERING: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// One who watches a page.
pub(super) struct Watcher {
    pub(super) dashboard: SharedDashboard,
    pub(super) live: Arc<Live>,
    pub(super) visitor: Visitor,
    /// The id of the session.
    pub(super) id: String,
    /// The page.
    pub(super) uri: Uri,
    /// The headers with which the page is requested.
    pub(super) headers: HeaderMap,
    pub(super) fragment: Arc<Fragment>,
    pub(super) permit: Permit,
    pub(super) end: ConnectionEnd,
}

/// Starts a stream and returns it as a response.
pub(super) fn start(watcher: Watcher) -> Response {
    let (sender, mut receiver) = mpsc::channel(1);
    tokio::spawn(watcher.run(sender));
    let events = stream::poll_fn(move |context| {
        receiver.poll_recv(context).map(|event| event.map(Ok::<_, Infallible>))
    });
    let content_type = (CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    ([content_type, NO_BUFFERING], Body::from_stream(events)).into_response()
}

impl Watcher {
    async fn run(self, sender: mpsc::Sender<Bytes>) {
        let (evicted, shutdown) = (self.permit.evicted.clone(), self.end.shutdown.clone());
        let last = tokio::select! {
            last = self.watch(&sender) => last,
            () = evicted.cancelled() => Some(event("poll", "")),
            () = shutdown.cancelled() => None,
            () = sender.closed() => None,
        };
        if let Some(last) = last {
            self.send(&sender, last).await;
        }
    }

    /// Sends the page whenever it has changed. Returns the last event, if there is one to send.
    async fn watch(&self, sender: &mpsc::Sender<Bytes>) -> Option<Bytes> {
        let mut shown = Bytes::new();
        loop {
            let turn = self.live.fragments.next_turn().await;
            let admitted =
                visitor::admit(&self.dashboard, &self.id, self.visitor.peer, &self.visitor.requester).await;
            // The client requests the page, and learns that it has to log in.
            if admitted.is_err_and(|problem| problem.status().is_client_error()) {
                return Some(event("poll", ""));
            }
            let (event, is_live) = match self.fragment.at(turn, async || self.page().await).await {
                Ok(rendered) if rendered.event == shown => (HEARTBEAT, true),
                Ok(rendered) => {
                    shown = rendered.event.clone();
                    (rendered.event, rendered.is_live)
                }
                Err(problem) if problem.status().is_client_error() => return Some(event("end", "")),
                Err(_) => (HEARTBEAT, true),
            };
            if !self.send(sender, event).await {
                return None;
            }
            if !is_live {
                return Some(self::event("end", ""));
            }
        }
    }

    /// Sends an event. Closes the connection of a client that does not read. Returns whether the event was sent.
    async fn send(&self, sender: &mpsc::Sender<Bytes>, event: Bytes) -> bool {
        let sent = tokio::time::timeout(DASHBOARD_STREAM_TIMEOUT, sender.send(event)).await;
        if sent.is_err() {
            self.end.close.cancel();
        }
        sent.is_ok_and(|sent| sent.is_ok())
    }

    /// Renders the page as all who watch it may see it.
    async fn page(&self) -> Result<String, Problem> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(HX_REQUEST, HeaderValue::from_static("true"));
        request.extensions_mut().insert(self.visitor.peer);
        request.extensions_mut().insert(self.visitor.requester.clone());
        request.extensions_mut().insert(Shared);
        let Ok(response) = self.live.pages.clone().call(request).await;
        if let Some(problem) = response.extensions().get::<Problem>() {
            return Err(problem.clone());
        }
        if response.status() != StatusCode::OK {
            return Err(Problem::not_found("there is no such page"));
        }
        let body = to_bytes(response.into_body(), MAX_DASHBOARD_READ_BYTES).await;
        let body = body.map_err(|error| Problem::internal("a page is too large to be refreshed", &error))?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}
