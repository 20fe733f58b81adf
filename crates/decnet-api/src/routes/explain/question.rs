//! The query of an explanation.

use serde::Deserialize;
use utoipa::IntoParams;

/// A question about a past event or about a topic.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Question {
    /// Subscription: its full name or UUID.
    pub(super) subscription: String,
    /// Id of an event.
    pub(super) event_id: Option<String>,
    /// Topic, as if an event with it arrived now.
    #[param(example = "attacker.observed")]
    pub(super) topic: Option<String>,
}
