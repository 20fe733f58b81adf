//! What only the dispatcher can do; the binary lends it.

use std::sync::Arc;

use decnet_core::redact::EndpointUrl;
use decnet_store::catalog::Stored;
use futures_util::future::BoxFuture;

/// What only the dispatcher can do: it alone knows which addresses may be dialled, and dials them.
pub trait Outbound: Send + Sync + 'static {
    /// Does the egress guard let requests to this URL through, as far as its host resolves now?
    fn check(&self, url: EndpointUrl) -> BoxFuture<'static, Result<(), Refused>>;

    /// Sends one test event to a subscription, once, and tells the receiver who asked for it. It counts for nothing.
    fn test(&self, subscription: Box<Stored>, triggered_by: Arc<str>) -> BoxFuture<'static, Tested>;
}

/// Why requests to a URL would not be sent. Names the forbidden address, never the URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tested {
    /// Did a 2xx come back?
    pub delivered: bool,
    /// The reply's status, if there was one.
    pub status_code: Option<u16>,
    /// What went wrong, if anything did.
    pub error: Option<String>,
}
