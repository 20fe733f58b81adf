//! Operations on receivers that only the dispatcher can perform: checking a URL and credentials, and sending a test event.

use decnet_core::redact::EndpointUrl;
use decnet_core::settings::Credentials;
use decnet_store::catalog::{Row, StoredSubscription};

use crate::outbound::{TestEvent, TestReport, Tested};
use crate::problem::Problem;
use crate::state::Shared;

/// Sends one test event, unless the row is invalid.
pub(super) async fn test(
    state: &Shared,
    (row, stored): (Row, Option<StoredSubscription>),
    event: TestEvent,
) -> TestReport {
    match stored {
        Some(stored) => state.outbound.test(Box::new(stored), event).await,
        None => Tested::failed(row.problem).into(),
    }
}

/// Checks whether credentials can be used.
///
/// # Errors
/// A certificate or a key cannot be used.
pub(super) fn check_credentials(state: &Shared, credentials: &Credentials) -> Result<(), Problem> {
    let checked = state.outbound.check_credentials(credentials);
    checked.map_err(|refused| Problem::invalid(format!("settings: {refused}")))
}

/// Checks a URL with the egress guard.
///
/// # Errors
/// The URL leads to a forbidden address.
pub(super) async fn check_url(state: &Shared, url: &EndpointUrl) -> Result<(), Problem> {
    let checked = state.outbound.check(url.clone()).await;
    checked.map_err(|refused| Problem::invalid(format!("url: {refused}")))
}
