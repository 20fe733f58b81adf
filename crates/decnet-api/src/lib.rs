//! The HTTP API: DECNET's routes for subscriptions, and our own routes for everything else.
//!
//! The API does not call the dispatcher: they communicate through the store and the bus. The binary provides what only the
//! dispatcher can do, checking a URL and sending a test event, as an [`Outbound`].
//!
//! In the order of a request:
//!
//! - [`Api`]: the entry point; `server`: connections, their limit and shutdown;
//! - `middleware`, `timeout`: the layers around every route: rate limits, headers, the request log, the time limit;
//! - `auth`: authentication and authorization;
//! - `routes`: one file per resource; each route is registered with the scope that it requires;
//! - `query`: query parameters; `body`: JSON bodies with size limits; `codings`: content and transfer codings;
//! - `body_budget`, `group_commit`: submitted events, bounded in memory until they are durable;
//! - `pool`, `worker_notify`: access to catalog and queue off the async threads, and notifications to the worker;
//! - `single_flight`: results that concurrent requests share;
//! - `jobs`: work that may continue after the response to its request;
//! - `problem`: errors, in the format of RFC 9457 or of DECNET;
//! - `metrics`: request metrics, and the page of all metrics;
//! - `traffic`: what the worker has done lately;
//! - `openapi`: the OpenAPI document, generated from the registered routes; `page`: its documentation page;
//! - `web`: the dashboard.

mod api;
mod auth;
mod body;
mod body_budget;
mod codings;
mod group_commit;
mod jobs;
mod metrics;
mod middleware;
mod openapi;
mod options;
mod outbound;
mod page;
mod pool;
mod problem;
mod query;
mod routes;
mod server;
mod single_flight;
mod state;
mod timeout;
mod traffic;
mod web;
mod worker_notify;

pub use api::{Api, Error};
pub use auth::{Access, Exposed, SetupCode, check_exposure};
pub use metrics::{Metrics, Requests};
pub use openapi::document_json;
pub use options::Options;
pub use outbound::{
    Exchange, Outbound, PreviewedEvent, Refused, ShownBody, ShownReply, ShownRequest, ShownTimings,
    TestEvent, TestReport, Tested,
};
pub use traffic::{Activity, BusLink, Interval, Traffic};
