//! Operations that only the dispatcher can perform; the binary provides them.

use std::sync::Arc;

use decnet_core::redact::EndpointUrl;
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

    /// Sends one test event to a subscription once, with the requester's name in it. The result does not affect its health.
    fn test(&self, stored: Box<StoredSubscription>, triggered_by: Arc<str>) -> BoxFuture<'static, Tested>;
}

/// The reason why a URL or credentials are rejected. May contain the forbidden address, never the URL or a part of the
/// credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

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
