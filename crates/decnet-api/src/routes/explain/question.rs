//! The query of an explanation.

use serde::Deserialize;
use utoipa::IntoParams;

/// A question about a past event or about a topic.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Question {
    /// Full name or UUID of the subscription.
    pub(super) subscription: String,
    /// Id of a past event.
    pub(super) event_id: Option<String>,
    /// Topic of a hypothetical event that arrives now.
    #[param(example = "attacker.observed")]
    pub(super) topic: Option<String>,
}
