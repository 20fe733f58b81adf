//! Operations on receivers that only the dispatcher can perform: checking a URL and sending a test event.

use std::sync::Arc;

use axum::Json;
use decnet_core::redact::EndpointUrl;
use decnet_store::catalog::{Row, Stored};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Principal;
use crate::outbound::Tested;
use crate::problem::Problem;
use crate::state::Shared;

/// The result of a test event.
#[derive(Serialize, ToSchema)]
pub(super) struct TestResult {
    /// Whether the reply was a 2xx.
    delivered: bool,
    /// Status of the reply, if one arrived.
    status_code: Option<u16>,
    /// The error, if the test failed.
    error: Option<String>,
}

/// Sends one test event, unless the row is invalid.
pub(super) async fn test(
    state: &Shared,
    requester: &Principal,
    (row, stored): (Row, Option<Stored>),
) -> Json<TestResult> {
    let Tested { delivered, status_code, error } = match stored {
        Some(stored) => state.outbound.test(Box::new(stored), Arc::clone(&requester.name)).await,
        None => Tested { delivered: false, status_code: None, error: row.problem },
    };
    Json(TestResult { delivered, status_code, error })
}

/// Checks a URL with the egress guard.
///
/// # Errors
/// The URL leads to a forbidden address.
pub(super) async fn check_url(state: &Shared, url: &EndpointUrl) -> Result<(), Problem> {
    let checked = state.outbound.check(url.clone()).await;
    checked.map_err(|refused| Problem::invalid(format!("url: {refused}")))
}
