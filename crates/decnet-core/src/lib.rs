//! The types and decisions of `decnet`, as pure functions.
//!
//! Nothing here reads a clock, the environment, a file or a socket; `now` and `jitter` are arguments. The modules, in the
//! order in which an event meets them:
//!
//! - [`event`]: parses a bus message into an [`event::Event`], whose body is serialised once;
//! - [`topic`]: patterns, the trie that routes a topic, and the cover that a worker subscribes to;
//! - [`severity`]: the severity of an event, by its topic;
//! - [`subscription`]: subscriptions, and the validation of their rows;
//! - [`settings`]: the settings of one subscription that are not in its row;
//! - [`signature`]: the signature by which a receiver verifies a request;
//! - [`delivery`]: the verdict on a reply, the retry schedule, and the one function that changes a delivery's state;
//! - [`health`]: consecutive failures of a subscription, the trip, and the delays of probes;
//! - [`congestion_window`]: the number of concurrent requests to a receiver;
//! - [`trace`]: the identifiers of traces and spans;
//! - [`explain`]: the reason why an event was, or was not, sent to a subscription;
//! - [`access`]: API tokens, scopes, and dashboard sessions;
//! - [`duration`], [`time`]: durations and times, and their text forms;
//! - [`clock`]: whether the wall clock is plausible;
//! - [`sample`]: sample events, for the demo and for tests of receivers;
//! - [`redact`]: types that do not print their secrets;
//! - [`text`]: escapes for characters that a terminal interprets or hides;
//! - [`limits`]: every limit.

pub mod access;
pub mod clock;
pub mod congestion_window;
pub mod delivery;
pub mod duration;
pub mod event;
pub mod explain;
pub mod health;
pub mod limits;
pub mod redact;
pub mod sample;
pub mod settings;
pub mod severity;
pub mod signature;
pub mod subscription;
pub mod text;
pub mod time;
pub mod topic;
pub mod trace;

/// Compiles the Rust receiver in the guide.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/receivers.md")]
struct ReceiversGuide;
