//! What goes over the wire: everything about it that the subscription fixes is prepared once.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use decnet_core::event::Event;
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::signature::SigningKey;
use decnet_core::time::UnixMicros;
use http::header::{
    AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, InvalidHeaderValue, USER_AGENT,
};
use http::uri::InvalidUri;
use http::{HeaderMap, Method, Request, Uri, Version};

use super::connect::Body;

const SIGNATURE: HeaderName = HeaderName::from_static("x-decnet-signature");
const EVENT_ID: HeaderName = HeaderName::from_static("x-decnet-event-id");
const EVENT_TOPIC: HeaderName = HeaderName::from_static("x-decnet-event-topic");
const TIMESTAMP: HeaderName = HeaderName::from_static("x-decnet-timestamp");
const STANDARD_ID: HeaderName = HeaderName::from_static("webhook-id");
const STANDARD_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const STANDARD_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Stands in the prepared block where each request puts its own value.
const PLACEHOLDER: HeaderValue = HeaderValue::from_static("");

/// Where a connection leads. Connections are shared by this and never by address: two hosts on one address
/// may be two different receivers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub(super) https: bool,
    /// The host as it stands in a URL, an IPv6 address in brackets.
    pub(super) name: Box<str>,
    pub(super) port: u16,
    /// The address, if the host is one.
    pub(super) address: Option<IpAddr>,
}

/// One subscription as the sender needs it; prepare it once per version of the subscription.
#[derive(Clone)]
pub struct Target {
    pub(super) origin: Origin,
    /// Path and query, for HTTP/1.1.
    path: Uri,
    /// The whole URL without user information and fragment, for HTTP/2.
    absolute: Uri,
    headers: HeaderMap,
    key: SigningKey,
}

/// Why a URL cannot be requested. Says nothing of what the URL carries.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The URL is one, but its path or host cannot stand in a request.
    #[error("the URL cannot stand in an HTTP request: {0}")]
    Uri(#[from] InvalidUri),
    /// The host cannot stand in a header.
    #[error("the URL's host cannot stand in a header: {0}")]
    Host(#[from] InvalidHeaderValue),
}

impl Target {
    /// Prepares a subscription's requests. User information in the URL is sent as Basic authentication
    /// (RFC 7617) and nowhere else.
    ///
    /// # Errors
    /// A URL that cannot be written into an HTTP request.
    pub fn new(url: &EndpointUrl, secret: &Secret) -> Result<Self, TargetError> {
        let (scheme, path) = (if url.is_https() { "https" } else { "http" }, url.path_and_query());
        let authority = match url.explicit_port() {
            Some(port) => format!("{}:{port}", url.host_str()),
            None => url.host_str().into(),
        };
        Ok(Self {
            origin: Origin::of(url),
            path: path.parse()?,
            absolute: format!("{scheme}://{authority}{path}").parse()?,
            headers: header_block(&authority, url.credentials())?,
            key: SigningKey::new(secret),
        })
    }

    /// The request for an event. Its body is the event's, byte for byte; only the signatures' time differs
    /// from one attempt to the next.
    pub(super) fn request(&self, event: &Event, at: UnixMicros, agent: &HeaderValue) -> Request<Body> {
        let (id, seconds) = (printable(&event.id), at.as_seconds());
        let timestamp = HeaderValue::from(seconds);
        let mut headers = self.headers.clone();
        headers.insert(USER_AGENT, agent.clone());
        headers.insert(SIGNATURE, ascii(self.key.decnet(&event.body)));
        headers.insert(EVENT_TOPIC, printable(&event.topic));
        headers.insert(TIMESTAMP, timestamp.clone());
        headers.insert(STANDARD_TIMESTAMP, timestamp);
        headers.insert(STANDARD_SIGNATURE, ascii(self.key.standard(&event.id, seconds, &event.body)));
        headers.insert(EVENT_ID, id.clone());
        headers.insert(STANDARD_ID, id);
        let mut request = Request::new(Body::new(event.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = headers;
        request
    }

    /// HTTP/2 names the authority in the request's target instead of a header (RFC 9113 section 8.3.1).
    pub(super) fn for_http2(&self, mut request: Request<Body>) -> Request<Body> {
        *request.uri_mut() = self.absolute.clone();
        *request.version_mut() = Version::HTTP_2;
        request.headers_mut().remove(HOST);
        request
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Target({})", self.origin)
    }
}

impl Origin {
    fn of(url: &EndpointUrl) -> Self {
        let address = url.host_str().trim_start_matches('[').trim_end_matches(']').parse().ok();
        Self { https: url.is_https(), name: url.host_str().into(), port: url.port(), address }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}:{}", if self.https { "https" } else { "http" }, self.name, self.port)
    }
}

/// Every header of a request, in the order in which they are sent. The changing ones are there already, so
/// that a copy has its final size.
fn header_block(authority: &str, credentials: Option<(&str, &str)>) -> Result<HeaderMap, InvalidHeaderValue> {
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(HOST, HeaderValue::from_str(authority)?);
    if let Some((user, password)) = credentials {
        headers.insert(AUTHORIZATION, basic(user, password));
    }
    headers.insert(CONTENT_TYPE, JSON);
    let changing = [SIGNATURE, EVENT_ID, EVENT_TOPIC, TIMESTAMP];
    let standard = [STANDARD_ID, STANDARD_TIMESTAMP, STANDARD_SIGNATURE];
    for name in [USER_AGENT].into_iter().chain(changing).chain(standard) {
        headers.insert(name, PLACEHOLDER);
    }
    Ok(headers)
}

fn basic(user: &str, password: &str) -> HeaderValue {
    let mut pair = percent_decoded(user);
    pair.push(b':');
    pair.extend(percent_decoded(password));
    let mut value = ascii(format!("Basic {}", STANDARD.encode(pair)));
    value.set_sensitive(true);
    value
}

/// RFC 3986 section 2.1; a `%` that starts no escape stands for itself.
fn percent_decoded(text: &str) -> Vec<u8> {
    let (mut decoded, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&byte, tail)) = rest.split_first() {
        match (byte, escaped(tail)) {
            (b'%', Some(value)) => {
                decoded.push(value);
                rest = &tail[2..];
            }
            _ => {
                decoded.push(byte);
                rest = tail;
            }
        }
    }
    decoded
}

fn escaped(tail: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(*tail.first()?)? << 4 | digit(*tail.get(1)?)?)
}

/// A text as a header value; what is not printable ASCII becomes `?`.
fn printable(text: &str) -> HeaderValue {
    let fits = |byte: u8| matches!(byte, b' '..=b'~');
    if text.bytes().all(fits) {
        return ascii(text);
    }
    ascii(text.bytes().map(|byte| if fits(byte) { char::from(byte) } else { '?' }).collect::<String>())
}

fn ascii<T: TryInto<HeaderValue>>(text: T) -> HeaderValue {
    text.try_into().ok().expect("printable ASCII is a header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        Target::new(&EndpointUrl::new(url).unwrap(), &Secret::new("0123456789abcdef")).unwrap()
    }

    #[test]
    fn prepared_block_has_room_for_every_request() {
        let target = target("http://user:p%40ss@example.org:8080/in?x=1");
        let event = Event::new("e", "a.b", "t", UnixMicros(0), "{}").unwrap();
        let request = target.request(&event, UnixMicros(0), &HeaderValue::from_static("agent"));
        assert_eq!(request.headers().len(), target.headers.len());
        assert!(request.headers().values().all(|value| !value.is_empty()));
        assert_eq!(request.uri(), "/in?x=1");
        assert_eq!(request.headers()[HOST], "example.org:8080");
        assert_eq!(request.headers()[AUTHORIZATION], "Basic dXNlcjpwQHNz");
        let request = target.for_http2(request);
        assert_eq!(request.uri(), "http://example.org:8080/in?x=1");
        assert!(!request.headers().contains_key(HOST));
    }

    #[test]
    fn shows_neither_credentials_nor_query() {
        let shown = format!("{:?}", target("https://user:hunter2@example.org/in?token=abc"));
        assert_eq!(shown, "Target(https://example.org:443)");
    }

    #[test]
    fn addresses_and_names_are_told_apart() {
        assert_eq!(target("http://[::1]/").origin.address, "::1".parse().ok());
        assert_eq!(target("http://127.1/").origin.address, "127.0.0.1".parse().ok());
        assert_eq!(target("http://localhost/").origin.address, None);
    }

    #[test]
    fn what_cannot_stand_in_a_header_is_replaced() {
        assert_eq!(printable("a.b"), "a.b");
        assert_eq!(printable("a\r\nx: y\0"), "a??x: y?");
        assert_eq!(printable("é"), "??");
    }

    #[test]
    fn percent_decoding_leaves_what_is_no_escape() {
        assert_eq!(percent_decoded("%41%zz%4%"), b"A%zz%4%");
        assert_eq!(percent_decoded("%C3%A9"), "é".as_bytes());
    }
}
