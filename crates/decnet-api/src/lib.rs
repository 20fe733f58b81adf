//! The HTTP API: DECNET's routes for subscriptions, our own for everything else.
//!
//! It never sees the dispatcher: they meet in the store and on the bus. What only the dispatcher can do, checking
//! where a URL leads and sending a test, is asked of the binary through [`Outbound`].
//!
//! In the order of a request:
//!
//! - [`Api`]: what is listened on; `server`: connections, their bounds and their end;
//! - `armour`, `deadline`: what surrounds every answer: counts, headers, a line in the log, the time that it may take;
//! - `auth`: who asks, and what they may do;
//! - `routes`: one file a resource, each route registered with the scope that it asks for;
//! - `body`: a JSON body within its bounds; `codings`: those that are refused;
//! - `room`, `submitter`: events, bounded until they are on the disk;
//! - `pool`, `signal`: the catalog and the queue off the async thread, and the word to the worker;
//! - `remembered`: what many ask for alike;
//! - `jobs`: what goes on after its request was answered;
//! - `problem`: what went wrong, as RFC 9457 says it, or as DECNET does;
//! - `metrics`: what is counted of the requests, and the page of all metrics;
//! - `openapi`: the document, made of the same registrations; `page`: how people read it.

mod api;
mod armour;
mod auth;
mod body;
mod codings;
mod deadline;
mod jobs;
mod metrics;
mod openapi;
mod options;
mod outbound;
mod page;
mod pool;
mod problem;
mod query;
mod remembered;
mod room;
mod routes;
mod server;
mod signal;
mod state;
mod submitter;

pub use api::{Api, Error};
pub use auth::{Access, Exposed, SetupCode, check_exposure};
pub use metrics::{Metrics, Requests};
pub use openapi::document_json;
pub use options::Options;
pub use outbound::{Outbound, Refused, Tested};
