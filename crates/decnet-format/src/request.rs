//! What requests need besides their body: a path, a query, headers, and the acknowledgement of events after the reply.

use std::borrow::Cow;

use bytes::Bytes;

use crate::reply::Reply;
use crate::spec::Options;

/// A header with the same value in every request: a name in lower case, and a value in printable ASCII.
pub type FixedHeader = (&'static str, Box<str>);

/// What the requests of a format need besides their body.
pub struct RequestSpec {
    /// The path of requests if the URL of the subscription has none, such as `/_bulk`; empty if the format does not define one.
    pub path: &'static str,
    /// The query parameter `name=value` that requests need; empty if they need none. If the URL has a parameter of this name,
    /// it is not changed.
    pub query: &'static str,
    /// Returns the headers that follow from the options.
    pub headers: fn(&Options) -> Vec<FixedHeader>,
    /// The protocol by which the destination acknowledges events after its reply; `None` if there is no such protocol.
    pub acknowledgement: Option<Acknowledgement>,
}

/// A protocol by which a destination acknowledges events after its reply. Until then, the events are accepted but not delivered.
///
/// All requests carry the channel, a UUID. The reply to a request with events contains a receipt, a number. Polls, which are POST
/// requests to another path, ask whether the events of a receipt are stored.
pub struct Acknowledgement {
    /// Returns whether the options turn the protocol on.
    pub is_on: fn(&Options) -> bool,
    /// The header with the channel, in lower case.
    pub channel_header: &'static str,
    /// Returns the path and query of polls, from those of requests with events and the channel.
    pub target: fn(&str, &str) -> String,
    /// The content type of polls, in printable ASCII.
    pub content_type: &'static str,
    /// Returns the receipt in a reply that accepts events.
    pub receipt: fn(&Reply<'_>) -> Option<u64>,
    /// Writes the body of a poll.
    pub write: fn(u64) -> Bytes,
    /// Judges the reply to a poll.
    pub judge: fn(&Reply<'_>, u64) -> Acknowledged,
}

/// The meaning of the reply to a poll; see [`Acknowledgement`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acknowledged {
    /// The events are stored.
    Yes,
    /// The events are not stored yet, or the destination cannot answer now for the given reason.
    NotYet(Option<Box<str>>),
    /// Polls cannot succeed until an operator changes the settings. The reply decides the verdict on the events.
    Never,
}

impl RequestSpec {
    /// Requests go to the URL of the subscription, without further headers.
    pub const PLAIN: Self = Self { path: "", query: "", headers: |_| Vec::new(), acknowledgement: None };

    /// Returns the path and query of requests, from the path and query of the URL of the subscription.
    #[must_use]
    pub fn target<'u>(&self, given: &'u str) -> Cow<'u, str> {
        let (path, query) = given.split_once('?').unwrap_or((given, ""));
        let lacks_path = !self.path.is_empty() && matches!(path, "" | "/");
        let lacks_query = !self.query.is_empty() && !has_parameter(query, self.query);
        if !lacks_path && !lacks_query {
            return given.into();
        }
        let path = if lacks_path { self.path } else { path };
        let added = if lacks_query { self.query } else { "" };
        let parts = [query, added].into_iter().filter(|part| !part.is_empty());
        let query = parts.collect::<Vec<_>>().join("&");
        if query.is_empty() { path.to_owned().into() } else { format!("{path}?{query}").into() }
    }
}

/// Returns whether a query has a parameter with the name of `wanted`.
fn has_parameter(query: &str, wanted: &str) -> bool {
    let wanted = wanted.split('=').next();
    query.split('&').any(|parameter| parameter.split('=').next() == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BULK: RequestSpec = RequestSpec { path: "/_bulk", query: "filter=a,b.*", ..RequestSpec::PLAIN };

    #[test]
    fn plain_requests_go_to_the_url_itself() {
        for url in ["", "/", "/in?x=1"] {
            assert!(matches!(RequestSpec::PLAIN.target(url), Cow::Borrowed(target) if target == url));
        }
    }

    #[test]
    fn path_and_query_are_added_where_the_url_has_none() {
        for (url, target) in [
            ("", "/_bulk?filter=a,b.*"),
            ("/", "/_bulk?filter=a,b.*"),
            ("/?pretty", "/_bulk?pretty&filter=a,b.*"),
            ("/logs/_bulk", "/logs/_bulk?filter=a,b.*"),
            ("/logs/_bulk?pipeline=p", "/logs/_bulk?pipeline=p&filter=a,b.*"),
            ("/logs/_bulk?", "/logs/_bulk?filter=a,b.*"),
            ("/?filter=c", "/_bulk?filter=c"),
            ("/x?filter=c", "/x?filter=c"),
            ("/x?a=filter&filters=1", "/x?a=filter&filters=1&filter=a,b.*"),
        ] {
            assert_eq!(BULK.target(url), target, "{url}");
        }
    }
}
