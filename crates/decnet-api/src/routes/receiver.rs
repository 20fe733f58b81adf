//! What only the dispatcher can say of a receiver: whether it may be sent to, and what it answers.

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

/// What came of a test.
#[derive(Serialize, ToSchema)]
pub(super) struct TestResult {
    /// Did a 2xx come back?
    delivered: bool,
    /// The reply's status, if there was one.
    status_code: Option<u16>,
    /// What went wrong, if anything did.
    error: Option<String>,
}

/// Sends one test event, unless the row is broken.
pub(super) async fn test(
    state: &Shared,
    asking: &Principal,
    (row, stored): (Row, Option<Stored>),
) -> Json<TestResult> {
    let Tested { delivered, status_code, error } = match stored {
        Some(stored) => state.outbound.test(Box::new(stored), Arc::clone(&asking.name)).await,
        None => Tested { delivered: false, status_code: None, error: row.problem },
    };
    Json(TestResult { delivered, status_code, error })
}

/// # Errors
/// A URL that leads to a forbidden address.
pub(super) async fn check_url(state: &Shared, url: &EndpointUrl) -> Result<(), Problem> {
    let checked = state.outbound.check(url.clone()).await;
    checked.map_err(|refused| Problem::invalid(format!("url: {refused}")))
}
