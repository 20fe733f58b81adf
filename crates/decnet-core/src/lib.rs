//! The pure heart of `decnet`: types and decisions, each a function of its arguments.
//!
//! Nothing here reads a clock, an environment, a file or a socket; `now` and `jitter` are arguments. In the
//! order an event meets them:
//!
//! - [`event`]: a bus message becomes an [`event::Event`] with its body, serialised once;
//! - [`topic`]: patterns, the trie that routes a topic, the cover that a worker subscribes to;
//! - [`subscription`]: who is owed, and what a stored row must satisfy;
//! - [`signature`]: what proves a body's origin to its receiver;
//! - [`delivery`]: verdict on a reply, retry schedule, and the one place where a delivery changes state;
//! - [`health`]: a subscription's record of success and failure, and when it trips;
//! - [`concurrency`]: how many requests a receiver is sent at once;
//! - [`settings`]: what one subscription may ask for beyond its row;
//! - [`access`]: who may do what at the HTTP API;
//! - [`trace`]: where an attempt stands in a trace;
//! - [`duration`], [`time`]: how long and when, and the texts of both;
//! - [`clock`]: whether the system's clock shows the time that can be expected of it;
//! - [`measure`]: what is counted while it happens;
//! - [`pulse`]: a sign of life that a loop gives;
//! - [`redact`]: values that cannot print their secrets;
//! - [`text`]: characters that a terminal obeys or hides, and how they are shown;
//! - [`limits`]: every bound, in one place.

pub mod access;
pub mod clock;
pub mod concurrency;
pub mod delivery;
pub mod duration;
pub mod event;
pub mod explain;
pub mod health;
pub mod limits;
pub mod measure;
pub mod pulse;
pub mod redact;
pub mod settings;
pub mod signature;
pub mod subscription;
pub mod text;
pub mod time;
pub mod topic;
pub mod trace;

/// The receiver in Rust of the guide is compiled as it stands there.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/receivers.md")]
struct ReceiversGuide;
