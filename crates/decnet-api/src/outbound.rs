//! Operations that only the dispatcher can perform; the binary provides them.

use std::sync::Arc;

use decnet_core::event::Event;
use decnet_core::redact::EndpointUrl;
use decnet_core::sample::Sample;
use decnet_core::settings::Credentials;
use decnet_store::catalog::StoredSubscription;
use futures_util::future::BoxFuture;
use serde::Serialize;
use utoipa::ToSchema;

/// Operations that only the dispatcher can perform: it has the egress guard and the HTTP client.
pub trait Outbound: Send + Sync + 'static {
    /// Checks whether the egress guard allows requests to this URL, by the addresses to which its host resolves now.
    fn check(&self, url: EndpointUrl) -> BoxFuture<'static, Result<(), Refused>>;

    /// Checks whether TLS can use the certificates and the key of credentials.
    fn check_credentials(&self, credentials: &Credentials) -> Result<(), Refused>;

    /// Sends an event to a subscription once. The result does not affect its health.
    fn test(&self, stored: Box<StoredSubscription>, event: TestEvent) -> BoxFuture<'static, TestReport>;

    /// Decides for each event whether the subscription would get it, and renders the request. Sends nothing.
    fn preview(
        &self,
        stored: Box<StoredSubscription>,
        events: Vec<Event>,
    ) -> BoxFuture<'static, Result<Vec<PreviewedEvent>, Refused>>;
}

/// The reason why a URL or credentials are rejected. May contain the forbidden address, never the URL or a part of the
/// credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// The event that a test sends.
#[derive(Debug, Clone)]
pub enum TestEvent {
    /// An event with the topic `test.ping` that names the requester.
    Ping(Arc<str>),
    /// A sample event.
    Sample(Sample),
    /// An event of the queue.
    Stored(Event),
}

/// The result of a test event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = TestResult)]
pub struct Tested {
    /// Whether the reply was a 2xx.
    pub delivered: bool,
    /// Status of the reply, if one arrived.
    pub status_code: Option<u16>,
    /// The error, if the test failed.
    pub error: Option<String>,
}

/// The result of a test event, with the whole exchange.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TestReport {
    /// The result.
    #[serde(flatten)]
    pub tested: Tested,
    /// The request and the reply; null if no request could be made.
    pub exchange: Option<Exchange>,
}

/// A request and its reply.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Exchange {
    /// The request.
    pub request: ShownRequest,
    /// The reply, if one arrived.
    pub reply: Option<ShownReply>,
    /// Duration in milliseconds.
    pub duration_ms: f64,
    /// Durations of the steps in milliseconds; null for a step that was not needed or not finished.
    pub timings: ShownTimings,
    /// Number of times that the request was sent again because a connection ended before any reply.
    pub repeats: u8,
}

/// A request as it is sent, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ShownRequest {
    /// Method.
    pub method: &'static str,
    /// URL without the parts that may be secret.
    pub url: String,
    /// Names and values of the headers, in the order in which they are sent; `[secret]` replaces secrets.
    pub headers: Vec<[String; 2]>,
    /// Body.
    pub body: ShownBody,
    /// Body before compression, if it is compressed.
    pub uncompressed: Option<ShownBody>,
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ShownReply {
    /// Status.
    pub status: u16,
    /// Names and values of the headers, in the order of arrival.
    pub headers: Vec<[String; 2]>,
    /// Body, as far as it was read.
    pub body: ShownBody,
}

/// A body: the text, or base64 if it is not UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ShownBody {
    /// The beginning of the body, at most 64 KiB; null if it is not UTF-8.
    pub text: Option<String>,
    /// The beginning of a body that is not UTF-8, in base64.
    pub base64: Option<String>,
    /// Size of the body in bytes.
    pub bytes: usize,
    /// Whether this is the whole body.
    pub is_complete: bool,
}

/// The durations of the steps of an attempt, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ShownTimings {
    /// Lookup of the host.
    pub resolve_ms: Option<f64>,
    /// TCP connection.
    pub connect_ms: Option<f64>,
    /// TLS handshake.
    pub tls_ms: Option<f64>,
    /// From the start of the request to the head of the reply.
    pub first_byte_ms: Option<f64>,
}

/// What a subscription would do with an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PreviewedEvent {
    /// Id of the event.
    pub event_id: String,
    /// Topic of the event.
    pub topic: String,
    /// Severity of the event.
    pub severity: &'static str,
    /// Whether the event would be delivered.
    pub delivered: bool,
    /// Reason of the decision, or why there is no request.
    pub reason: String,
    /// The request that would be sent, also if the event would not be delivered.
    pub request: Option<ShownRequest>,
}

impl Tested {
    /// Returns the result of a test that could not be made.
    #[must_use]
    pub fn failed(error: Option<String>) -> Self {
        Self { delivered: false, status_code: None, error }
    }
}

impl From<Tested> for TestReport {
    fn from(tested: Tested) -> Self {
        Self { tested, exchange: None }
    }
}
