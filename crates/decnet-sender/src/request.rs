//! The contents of requests. The parts that depend only on the subscription are prepared once.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use decnet_core::event::Event;
use decnet_core::limits::{MAX_REPLY_BYTES, MAX_STORED_REPLY_BYTES};
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::{self, Auth, Credentials, PrivateKey, Settings, Timeout};
use decnet_core::signature::{OldSecret, SigningKey};
use decnet_core::subscription::Subscription;
use decnet_core::time::UnixMicros;
use decnet_core::trace;
use decnet_runtime::clock::Clock;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use http::uri::InvalidUri;
use http::{Method, Request, Uri, Version};
use ring::signature::Ed25519KeyPair;

use crate::destination::Destination;
use crate::headers::{bearer, fixed_headers, subscription_headers};
use crate::identity::{CredentialsProblem, Identity};
use crate::tokens::TokenClient;

const JSON: &str = "application/json";
const USER_AGENT: &str = concat!("decnet-webhook/", env!("CARGO_PKG_VERSION"));

/// The origin of a URL (scheme, host and port) and the TLS identity. Connections are shared by origin and never by address, because two hosts
/// with one address may be two different receivers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) https: bool,
    /// The host as in a URL, with an IPv6 address in brackets.
    pub(crate) name: Box<str>,
    pub(crate) port: u16,
    /// The address, if the host is a literal address.
    pub(crate) address: Option<IpAddr>,
    /// The client certificate and the trusted roots of the subscription. They are part of the origin, so that no connection is shared
    /// by subscriptions that differ in them. The proxy is not, since all connections of a sender have the same; neither are headers,
    /// since each request sends its own.
    pub(crate) identity: Option<Identity>,
}

/// The prepared requests of one subscription. Prepare a target once per version of the subscription.
#[derive(Clone)]
pub struct Target {
    pub(crate) origin: Origin,
    /// The HTTP/1.1 request line and the headers that are the same in every request.
    head: Box<[u8]>,
    /// The HTTP/2 counterpart of `head`, if the URL is `https`.
    http2: Option<Box<Http2>>,
    key: SigningKey,
    /// The keys of recently replaced secrets, which sign as well until the given time.
    old_keys: Box<[(SigningKey, UnixMicros)]>,
    /// The deadline of the subscription, if it has a deadline of its own.
    pub(crate) deadline: Option<Duration>,
    /// The UUID of the subscription, if its requests carry `traceparent`.
    traced: Option<Box<str>>,
    /// The maximum number of bytes of a reply's body that are kept.
    pub(crate) max_reply_bytes: usize,
    method: settings::Method,
    /// The client for which an access token is requested, if the subscription needs one.
    pub(crate) token_client: Option<Box<TokenClient>>,
    /// The key of the asymmetric signature, if there is one.
    private_key: Option<Arc<Ed25519KeyPair>>,
    /// Whether attempts return the headers of replies.
    pub(crate) keeps_reply_headers: bool,
    /// The requests that ask whether events are acknowledged, if the destination acknowledges events after its reply.
    pub(crate) polls: Option<Box<Target>>,
}

#[derive(Clone)]
struct Http2 {
    /// The URL without user information and fragment.
    uri: Uri,
    /// The headers that are the same in every request.
    headers: HeaderMap,
}

/// The parts of a request that the attempt determines.
#[derive(Clone, Copy)]
pub(crate) struct RequestContext<'a> {
    /// The wall-clock time at which the attempt started. It is signed, since the receiver compares it with its own clock.
    pub(crate) signed: UnixMicros,
    /// The clock that decides whether a replaced secret still signs, so that a step of the wall clock does not end it early.
    pub(crate) clock: &'a Clock,
    /// The access token, if the subscription needs one.
    pub(crate) token: Option<&'a str>,
}

/// The message to send: one event, or a batch of events.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The `webhook-id`, by which the receiver recognizes repetitions.
    pub id: &'a str,
    /// The topic on which the event was published.
    pub topic: &'a str,
    /// The content type of `body`, in printable ASCII.
    pub content_type: &'a str,
    /// The bytes that are signed and sent.
    pub body: &'a Bytes,
    /// The number of the delivery among the deliveries of its event, counted from 0.
    pub delivery: u32,
    /// The number of the attempt among the attempts of its delivery, counted from 1.
    pub attempt: u32,
}

impl<'a> From<&'a Event> for Message<'a> {
    fn from(event: &'a Event) -> Self {
        let (content_type, body) = (JSON, &event.body);
        Self { id: &event.id, topic: &event.topic, content_type, body, delivery: 0, attempt: 1 }
    }
}

/// The reason why requests cannot be prepared. The texts contain no part of the URL.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The path or the host of the URL is not valid in a request.
    #[error("the URL is not valid in an HTTP request")]
    Uri(#[from] InvalidUri),
    /// The host is not a valid header value.
    #[error("the URL's host is not a valid header value")]
    Host(#[from] InvalidHeaderValue),
    /// A header of the subscription is not valid. Headers are validated when they are set, so this is an internal error.
    #[error("a header of the subscription is not valid in an HTTP request")]
    Header,
    /// A certificate or a key of the subscription cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsProblem),
}

impl Target {
    /// Prepares the requests of a subscription with its settings and its destination, if it has a format. Replaced secrets sign as well until they expire.
    ///
    /// # Errors
    /// [`TargetError`] if the URL or a header is not valid in an HTTP request.
    pub fn for_subscription(
        subscription: &Subscription,
        settings: &Settings,
        old_secrets: &[OldSecret],
        destination: Option<&Destination>,
    ) -> Result<Self, TargetError> {
        let key = |old: &OldSecret| (SigningKey::new(&old.secret), old.until);
        let (url, method) = (&subscription.url, settings.method.unwrap_or_default());
        let headers = subscription_headers(subscription, settings, destination)?;
        let credentials = &settings.credentials;
        let token_client = match &credentials.auth {
            Some(Auth::OAuth2(oauth)) => Some(Box::new(TokenClient::new(oauth))),
            _ => None,
        };
        let given = url.path_and_query();
        let path = destination.map_or(given.into(), |destination| destination.format().target(given));
        let target = Self {
            old_keys: old_secrets.iter().map(key).collect(),
            deadline: settings.timeout.map(Timeout::get),
            traced: settings.trace.then(|| subscription.uuid.clone()),
            max_reply_bytes: if destination.is_some() { MAX_REPLY_BYTES } else { MAX_STORED_REPLY_BYTES },
            token_client,
            private_key: credentials.private_key.as_ref().map(key_pair),
            ..Self::prepare(url, &subscription.secret, method, &path, headers)?.with_identity(credentials)?
        };
        let Some(destination) = destination else { return Ok(target) };
        let polls = target.polls(subscription, settings, destination, &path)?.map(Box::new);
        Ok(Self { polls, ..target })
    }

    /// Lets attempts return the headers of replies, which the worker does not need, and as much of the bodies as judges read.
    #[must_use]
    pub fn keeping_replies(self) -> Self {
        Self { keeps_reply_headers: true, max_reply_bytes: MAX_REPLY_BYTES, ..self }
    }

    /// Prepares the requests that ask whether events are acknowledged, if the destination acknowledges events after its reply. They have
    /// the headers and the credentials of the requests with events, whose path and query is `path`.
    fn polls(
        &self,
        subscription: &Subscription,
        settings: &Settings,
        destination: &Destination,
        path: &str,
    ) -> Result<Option<Self>, TargetError> {
        let Some(protocol) = destination.acknowledgement() else { return Ok(None) };
        let mut headers = subscription_headers(subscription, settings, Some(destination))?;
        headers.remove(CONTENT_ENCODING);
        let path = (protocol.target)(path, &subscription.uuid);
        let Subscription { url, secret, .. } = subscription;
        let polls = Self::prepare(url, secret, settings::Method::Post, &path, headers)?;
        Ok(Some(Self { head: polls.head, http2: polls.http2, method: polls.method, ..self.clone() }))
    }

    /// Prepares requests with default settings. User information in the URL is sent as Basic authentication (RFC 7617) and
    /// nowhere else.
    ///
    /// # Errors
    /// [`TargetError`] if the URL is not valid in an HTTP request.
    pub fn new(url: &EndpointUrl, secret: &Secret) -> Result<Self, TargetError> {
        let headers = fixed_headers(url, &Settings::default(), None)?;
        Self::prepare(url, secret, settings::Method::Post, url.path_and_query(), headers)
    }

    fn prepare(
        url: &EndpointUrl,
        secret: &Secret,
        method: settings::Method,
        path: &str,
        headers: HeaderMap,
    ) -> Result<Self, TargetError> {
        let authority = authority(url);
        let head = http1_head(method, path, &authority, &headers)?.into();
        let http2 = match url.is_https() {
            true => {
                let uri = format!("https://{authority}{path}").parse()?;
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
            max_reply_bytes: MAX_STORED_REPLY_BYTES,
            method,
            token_client: None,
            private_key: None,
            keeps_reply_headers: false,
            polls: None,
        })
    }

    /// Sets the client certificate and the trusted roots.
    fn with_identity(mut self, credentials: &Credentials) -> Result<Self, CredentialsProblem> {
        self.origin.identity = Identity::new(credentials)?;
        Ok(self)
    }

    /// Writes the head of an HTTP/1.1 request.
    pub(crate) fn write_head(&self, message: &Message<'_>, at: RequestContext<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        self.put_headers(message, at, |name, value| {
            for piece in [name.as_bytes(), b": ", value, b"\r\n"] {
                out.extend_from_slice(piece);
            }
        });
        if let Some(token) = at.token {
            for piece in ["authorization: Bearer ", token, "\r\n"] {
                out.extend_from_slice(piece.as_bytes());
            }
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Returns the head of an HTTP/2 request. Its URI contains the authority, instead of a `host` header (RFC 9113 section
    /// 8.3.1).
    pub(crate) fn http2_request(&self, message: &Message<'_>, at: RequestContext<'_>) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = match self.method {
            settings::Method::Post => Method::POST,
            settings::Method::Put => Method::PUT,
        };
        *request.version_mut() = Version::HTTP_2;
        if let Some(http2) = &self.http2 {
            *request.uri_mut() = http2.uri.clone();
            *request.headers_mut() = http2.headers.clone();
        }
        self.put_headers(message, at, |name, value| {
            let value = HeaderValue::from_bytes(value).expect("printable ASCII is a valid header value");
            request.headers_mut().insert(HeaderName::from_static(name), value);
        });
        if let Some(token) = at.token {
            request.headers_mut().insert(AUTHORIZATION, bearer(token));
        }
        request
    }

    /// Passes the headers that differ from request to request to `put`, in the order in which they are sent.
    pub(crate) fn put_headers(
        &self,
        message: &Message<'_>,
        at: RequestContext<'_>,
        mut put: impl FnMut(&'static str, &[u8]),
    ) {
        let (id, body, seconds) = (printable(message.id), message.body, at.signed.as_seconds());
        let timestamp = seconds.to_string();
        put("content-type", message.content_type.as_bytes());
        put("user-agent", USER_AGENT.as_bytes());
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

    /// Returns the signature with the secret, followed by the signatures with recently replaced secrets (Standard Webhooks 1.0,
    /// "Signature scheme": a space-separated list of which one must match), and the asymmetric signature if there is a private key.
    fn signatures(&self, message: &Message<'_>, at: RequestContext<'_>) -> String {
        let (id, body, seconds) = (message.id, message.body, at.signed.as_seconds());
        let mut list = self.key.standard(id, seconds, body);
        for (old, _) in self.old_keys.iter().filter(|(_, until)| *until > at.clock.now()) {
            list.push(' ');
            list.push_str(&old.standard(id, seconds, body));
        }
        if let Some(key) = &self.private_key {
            list.push_str(" v1a,");
            list.push_str(&asymmetric(key, id, seconds, body));
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
    pub(crate) fn of(url: &EndpointUrl) -> Self {
        let address = url.host_str().trim_start_matches('[').trim_end_matches(']').parse().ok();
        Self { https: url.is_https(), name: url.host_str().into(), port: url.port(), address, identity: None }
    }

    /// Returns whether other roots than those of the system are trusted.
    pub(crate) fn has_own_roots(&self) -> bool {
        self.identity.as_ref().is_some_and(|identity| identity.roots().is_some())
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}:{}", if self.https { "https" } else { "http" }, self.name, self.port)
    }
}

/// Returns the host and the port of a URL, as in a `host` header.
pub(crate) fn authority(url: &EndpointUrl) -> String {
    match url.explicit_port() {
        Some(port) => format!("{}:{port}", url.host_str()),
        None => url.host_str().into(),
    }
}

fn http1_head(
    method: settings::Method,
    path: &str,
    authority: &str,
    headers: &HeaderMap,
) -> Result<Vec<u8>, TargetError> {
    let path: Uri = path.parse()?;
    let host = HeaderValue::from_str(authority)?;
    let mut head = format!("{} {path} HTTP/1.1\r\nhost: ", method.as_str()).into_bytes();
    head.extend_from_slice(host.as_bytes());
    head.extend_from_slice(b"\r\n");
    for (name, value) in headers {
        for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(piece);
        }
    }
    Ok(head)
}

fn key_pair(key: &PrivateKey) -> Arc<Ed25519KeyPair> {
    Arc::new(Ed25519KeyPair::from_seed_unchecked(&key.seed()).expect("every seed of this length is a key"))
}

/// Returns the asymmetric signature in base64. As the symmetric one, it signs `id.timestamp.body`.
fn asymmetric(key: &Ed25519KeyPair, id: &str, timestamp: i64, body: &[u8]) -> String {
    let content = [id.as_bytes(), timestamp.to_string().as_bytes(), body].join(&b'.');
    STANDARD.encode(key.sign(&content))
}

/// Returns a text as a header value: every byte that is not printable ASCII becomes `?`.
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
    fn http1_and_http2_requests_have_the_same_headers() {
        let target = target("https://user:p%40ss@example.org:8080/in?x=1");
        let event = Event::new("e", "a.b", "t", UnixMicros(0), "{}").unwrap();
        let message = Message::from(&event);
        let mut head = Vec::new();
        let clock = Clock::default();
        let at = RequestContext { signed: UnixMicros(0), clock: &clock, token: None };
        target.write_head(&message, at, &mut head);
        let head = String::from_utf8(head).unwrap();
        let mut lines: Vec<&str> = head.strip_suffix("\r\n\r\n").unwrap().split("\r\n").collect();
        assert_eq!(lines[..2], ["POST /in?x=1 HTTP/1.1", "host: example.org:8080"]);
        assert_eq!(lines[2], "authorization: Basic dXNlcjpwQHNz");

        let request = target.http2_request(&message, at);
        assert_eq!(request.uri(), "https://example.org:8080/in?x=1");
        let mut http2_lines: Vec<String> = request
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        http2_lines.sort();
        lines.drain(..2);
        lines.sort_unstable();
        assert_eq!(http2_lines, lines);
    }

    #[test]
    fn debug_output_contains_neither_credentials_nor_query() {
        let text = format!("{:?}", target("https://user:hunter2@example.org/in?token=abc"));
        assert_eq!(text, "Target(https://example.org:443)");
    }

    /// The example of the Standard Webhooks specification, whose inputs are those of the test in the Svix server.
    #[test]
    fn asymmetric_signature_matches_the_published_example() {
        let seed = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=";
        let key = key_pair(&PrivateKey::new(Secret::new(seed)).unwrap());
        let (id, at, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(
            asymmetric(&key, id, at, body),
            "hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
        );
    }

    #[test]
    fn literal_addresses_are_recognized() {
        assert_eq!(target("http://[::1]/").origin.address, "::1".parse().ok());
        assert_eq!(target("http://127.1/").origin.address, "127.0.0.1".parse().ok());
        assert_eq!(target("http://localhost/").origin.address, None);
    }

    #[test]
    fn bytes_not_valid_in_a_header_are_replaced() {
        assert_eq!(printable("a.b"), "a.b");
        assert_eq!(printable("a\r\nx: y\0"), "a??x: y?");
        assert_eq!(printable("é"), "??");
    }
}
