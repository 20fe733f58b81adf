//! What is asked.

use serde::Deserialize;
use utoipa::IntoParams;

/// What is asked: about an event that was, or about a topic.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Question {
    /// The subscription: its whole name or UUID.
    pub(super) subscription: String,
    /// The id of an event.
    pub(super) event_id: Option<String>,
    /// A topic, as if an event of it came now.
    #[param(example = "attacker.observed")]
    pub(super) topic: Option<String>,
}
