//! Formats: the requests that destinations such as Slack or Elasticsearch understand, and the meaning of their replies.
//!
//! ```text
//! event ──► Finding ──┐
//! event ──► Finding ──┼──► Format::render ──► body ──► (sender) ──► reply ──► Format::judge ──► one verdict per event
//! event ──► Finding ──┘
//! ```
//!
//! - [`finding`]: one mapping from events to title, severity, source, target and so on, which all formats share;
//! - [`spec`]: the description of a format: a new format is one [`Spec`] and its two functions;
//! - `formats`: the formats, one file each;
//! - `escape`: one escaper per kind of markup, since attackers write the payloads;
//! - [`template`]: the operator's templates;
//! - [`request`]: what requests need besides the body;
//! - [`reply`]: the input and the result of judges.
//!
//! Everything here is pure: no clock, no randomness, no network. The same events give the same bytes.

mod escape;
pub mod finding;
mod formats;
mod from_settings;
mod json;
mod link;
pub mod reply;
pub mod request;
pub mod spec;
pub mod template;
#[cfg(test)]
mod testing;

pub use finding::Finding;
pub use reply::{Judgement, Reply};
pub use spec::{Format, FormatError, Options, RenderError, Rendering, Spec};

/// Returns the descriptions of all formats, in the order of the documentation.
pub fn all() -> impl Iterator<Item = &'static Spec> {
    formats::ALL.iter().copied()
}

/// Returns the description of the format with this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Spec> {
    formats::find(name)
}

/// Returns the description of the format that the destination with this host expects, such as `slack` for `hooks.slack.com`. `None` if
/// the host does not belong to a known service. `host` is in lower case.
#[must_use]
pub fn guess(host: &str) -> Option<&'static Spec> {
    formats::guess(host)
}
