//! What goes over the wire: everything about it that the subscription fixes is prepared once.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use decnet_core::event::Event;
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::{Headers, Timeout};
use decnet_core::signature::SigningKey;
use decnet_core::time::UnixMicros;
use decnet_core::trace;
use decnet_store::catalog::{OldSecret, Stored};
use decnet_store::clock::Clock;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use http::uri::InvalidUri;
use http::{Method, Request, Uri, Version};

const JSON: &str = "application/json";

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
    /// The request line of HTTP/1.1 and the headers that are the same in every request.
    head: Box<[u8]>,
    /// The same for HTTP/2, where an `https` receiver may want it.
    http2: Option<Box<Http2>>,
    key: SigningKey,
    /// What else signs, and until when: the secrets that were replaced lately.
    old_keys: Box<[(SigningKey, UnixMicros)]>,
    /// Its own deadline, if it has one.
    pub(super) deadline: Option<Duration>,
    /// The subscription, if its requests say where they stand in a trace.
    traced: Option<Box<str>>,
}

#[derive(Clone)]
struct Http2 {
    /// The whole URL without user information and fragment.
    uri: Uri,
    /// Those that are the same in every request.
    headers: HeaderMap,
}

/// The times that a request depends on.
#[derive(Clone, Copy)]
pub(super) struct Times<'a> {
    /// When the attempt began by the wall clock: what is signed, since the receiver compares it with its own clock.
    pub(super) signed: UnixMicros,
    /// Decides whether a replaced secret still signs, so that a step of the wall clock does not end its time early.
    pub(super) clock: &'a Clock,
}

/// What is sent: one event, or several as one.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// What the receiver tells repetitions by.
    pub id: &'a str,
    /// Where it was published.
    pub topic: &'a str,
    /// What `body` is; printable ASCII.
    pub content_type: &'static str,
    /// The bytes that are signed and sent.
    pub body: &'a Bytes,
    /// The delivery's number among its event's, counted from 0.
    pub delivery: u32,
    /// Which attempt of it this is, counted from 1.
    pub attempt: u32,
}

impl<'a> From<&'a Event> for Message<'a> {
    fn from(event: &'a Event) -> Self {
        let (content_type, body) = (JSON, &event.body);
        Self { id: &event.id, topic: &event.topic, content_type, body, delivery: 0, attempt: 1 }
    }
}

/// Why a URL cannot be requested. Says nothing of what the URL carries.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The URL is one, but its path or host cannot stand in a request.
    #[error("the URL cannot stand in an HTTP request")]
    Uri(#[from] InvalidUri),
    /// The host cannot stand in a header.
    #[error("the URL's host cannot stand in a header")]
    Host(#[from] InvalidHeaderValue),
    /// Nor can a header of its own. Its values are validated before, so this is a fault of ours.
    #[error("one of its headers cannot stand in an HTTP request")]
    Header,
}

impl Target {
    /// Prepares the requests of a subscription as it is stored, with all that it asks for.
    ///
    /// # Errors
    /// A URL that cannot be written into an HTTP request.
    pub fn of(stored: &Stored) -> Result<Self, TargetError> {
        let Stored { subscription, settings, old_secrets, .. } = stored;
        let key = |old: &OldSecret| (SigningKey::new(&old.secret), old.until);
        Ok(Self {
            old_keys: old_secrets.iter().map(key).collect(),
            deadline: settings.timeout.map(Timeout::get),
            traced: settings.trace.then(|| subscription.uuid.clone()),
            ..Self::with_headers(&subscription.url, &subscription.secret, &settings.headers)?
        })
    }

    /// Prepares the requests of a subscription that asks for nothing in particular. User information in the URL is
    /// sent as Basic authentication (RFC 7617) and nowhere else.
    ///
    /// # Errors
    /// A URL that cannot be written into an HTTP request.
    pub fn new(url: &EndpointUrl, secret: &Secret) -> Result<Self, TargetError> {
        Self::with_headers(url, secret, &Headers::default())
    }

    fn with_headers(url: &EndpointUrl, secret: &Secret, own: &Headers) -> Result<Self, TargetError> {
        let authority = match url.explicit_port() {
            Some(port) => format!("{}:{port}", url.host_str()),
            None => url.host_str().into(),
        };
        let headers = fixed_headers(url, own)?;
        let head = http1_head(url, &authority, &headers)?.into();
        let http2 = match url.is_https() {
            true => {
                let uri = format!("https://{authority}{}", url.path_and_query()).parse()?;
                Some(Box::new(Http2 { uri, headers }))
            }
            false => None,
        };
        Ok(Self {
            origin: Origin::of(url),
            head,
            http2,
            key: SigningKey::new(secret),
            old_keys: Box::default(),
            deadline: None,
            traced: None,
        })
    }

    /// Writes the head of an HTTP/1.1 request.
    pub(super) fn write_head(
        &self,
        message: &Message<'_>,
        at: Times<'_>,
        agent: &HeaderValue,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(&self.head);
        self.headers(message, at, agent, |name, value| {
            for piece in [name.as_bytes(), b": ", value, b"\r\n"] {
                out.extend_from_slice(piece);
            }
        });
        out.extend_from_slice(b"\r\n");
    }

    /// The head of an HTTP/2 request. It names the authority in its target instead of a header (RFC 9113 section
    /// 8.3.1).
    pub(super) fn http2_request(
        &self,
        message: &Message<'_>,
        at: Times<'_>,
        agent: &HeaderValue,
    ) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        if let Some(http2) = &self.http2 {
            *request.uri_mut() = http2.uri.clone();
            *request.headers_mut() = http2.headers.clone();
        }
        self.headers(message, at, agent, |name, value| {
            let value = HeaderValue::from_bytes(value).expect("what is printable can stand in a header");
            request.headers_mut().insert(HeaderName::from_static(name), value);
        });
        request
    }

    /// The headers that differ from request to request, in the order in which they are sent. The body is the
    /// message's, byte for byte; only the signatures' time differs from one attempt to the next.
    fn headers(
        &self,
        message: &Message<'_>,
        at: Times<'_>,
        agent: &HeaderValue,
        mut put: impl FnMut(&'static str, &[u8]),
    ) {
        let (id, body, seconds) = (printable(message.id), message.body, at.signed.as_seconds());
        let timestamp = seconds.to_string();
        put("content-type", message.content_type.as_bytes());
        put("user-agent", agent.as_bytes());
        put("x-decnet-signature", self.key.decnet(body).as_bytes());
        put("x-decnet-event-id", id.as_bytes());
        put("x-decnet-event-topic", printable(message.topic).as_bytes());
        put("x-decnet-timestamp", timestamp.as_bytes());
        put("webhook-id", id.as_bytes());
        put("webhook-timestamp", timestamp.as_bytes());
        put("webhook-signature", self.signatures(message, at).as_bytes());
        if let Some(subscription) = &self.traced {
            let parent = trace::attempt_span(message.id, subscription, message.delivery, message.attempt);
            put("traceparent", trace::traceparent(trace::trace_id(message.id), parent).as_bytes());
        }
        put("content-length", body.len().to_string().as_bytes());
    }

    /// That of the secret, then those of the secrets that it has lately replaced (Standard Webhooks 1.0, "Signature
    /// scheme": a list separated by spaces, of which one must fit).
    fn signatures(&self, message: &Message<'_>, at: Times<'_>) -> String {
        let (id, body, seconds) = (message.id, message.body, at.signed.as_seconds());
        let mut list = self.key.standard(id, seconds, body);
        for (old, _) in self.old_keys.iter().filter(|(_, until)| *until > at.clock.now()) {
            list.push(' ');
            list.push_str(&old.standard(id, seconds, body));
        }
        list
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

/// What says who sends, and the subscription's own headers. Of the URL and them only one can do the former.
fn fixed_headers(url: &EndpointUrl, own: &Headers) -> Result<HeaderMap, TargetError> {
    let mut headers = HeaderMap::new();
    for (name, value) in own.iter() {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| TargetError::Header)?;
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| TargetError::Header)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    if let Some((user, password)) = url.credentials() {
        headers.insert(AUTHORIZATION, basic(user, password));
    }
    Ok(headers)
}

fn http1_head(url: &EndpointUrl, authority: &str, headers: &HeaderMap) -> Result<Vec<u8>, TargetError> {
    let path: Uri = url.path_and_query().parse()?;
    let host = HeaderValue::from_str(authority)?;
    let mut head = format!("POST {path} HTTP/1.1\r\nhost: ").into_bytes();
    head.extend_from_slice(host.as_bytes());
    head.extend_from_slice(b"\r\n");
    for (name, value) in headers {
        for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(piece);
        }
    }
    Ok(head)
}

fn basic(user: &str, password: &str) -> HeaderValue {
    let mut pair = percent_decoded(user);
    pair.push(b':');
    pair.extend(percent_decoded(password));
    let text = format!("Basic {}", STANDARD.encode(pair));
    let mut value = HeaderValue::try_from(text).expect("base64 is printable");
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

/// A text as it can stand in a header; what is not printable ASCII becomes `?`.
fn printable(text: &str) -> Cow<'_, str> {
    let fits = |byte: u8| matches!(byte, b' '..=b'~');
    if text.bytes().all(fits) {
        return text.into();
    }
    text.bytes().map(|byte| if fits(byte) { char::from(byte) } else { '?' }).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        Target::new(&EndpointUrl::new(url).unwrap(), &Secret::new("0123456789abcdef")).unwrap()
    }

    #[test]
    fn both_versions_of_http_say_the_same() {
        let target = target("https://user:p%40ss@example.org:8080/in?x=1");
        let event = Event::new("e", "a.b", "t", UnixMicros(0), "{}").unwrap();
        let (message, agent) = (Message::from(&event), HeaderValue::from_static("agent"));
        let mut head = Vec::new();
        let clock = Clock::default();
        let at = Times { signed: UnixMicros(0), clock: &clock };
        target.write_head(&message, at, &agent, &mut head);
        let head = String::from_utf8(head).unwrap();
        let mut lines: Vec<&str> = head.strip_suffix("\r\n\r\n").unwrap().split("\r\n").collect();
        assert_eq!(lines[..2], ["POST /in?x=1 HTTP/1.1", "host: example.org:8080"]);
        assert_eq!(lines[2], "authorization: Basic dXNlcjpwQHNz");

        let request = target.http2_request(&message, at, &agent);
        assert_eq!(request.uri(), "https://example.org:8080/in?x=1");
        let mut said: Vec<String> = request
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        said.sort();
        lines.drain(..2);
        lines.sort_unstable();
        assert_eq!(said, lines);
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
