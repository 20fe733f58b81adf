//! A new subscription.

use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::{Settings, SettingsPatch};
use decnet_core::subscription::{check_new_name, check_secret, check_secret_form, requested_patterns};
use decnet_store::catalog::{self, generate_secret};
use serde::Deserialize;
use utoipa::ToSchema;

use super::settings::SettingsChange;
use crate::body;
use crate::problem::Problem;

/// A new subscription.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSubscription {
    /// Unique, also among names that read the same (Unicode NFC). No blanks at its ends, no control characters, none that
    /// are invisible or change the direction of text.
    #[schema(min_length = 1, max_length = 64, example = "siem")]
    name: String,
    /// Where its events go: http or https, to an address that the egress guard allows.
    #[schema(format = "uri", min_length = 1, max_length = 2083, example = "https://siem.example/hook")]
    url: String,
    /// Which topics it gets: `*` is one token, `>` the rest.
    #[schema(min_items = 1, max_items = 1024, example = json!(["attacker.>"]))]
    topic_patterns: Vec<String>,
    /// What its events are signed with; made where none is given.
    #[schema(min_length = 16, max_length = 256)]
    secret: Option<String>,
    /// Does it get events from now on?
    #[serde(default = "yes")]
    #[schema(default = true)]
    enabled: bool,
    /// What it asks for beyond that.
    #[serde(default, deserialize_with = "body::nullable_object")]
    #[schema(value_type = Option<SettingsChange>)]
    settings: Option<SettingsPatch>,
}

fn yes() -> bool {
    true
}

impl NewSubscription {
    /// The subscription, and its secret if one was made.
    pub(super) fn read(self) -> Result<(catalog::NewSubscription, Option<String>), Problem> {
        check_new_name(&self.name)?;
        let url = EndpointUrl::new(&self.url).map_err(|error| Problem::invalid(format!("url: {error}")))?;
        let patterns = requested_patterns(&[], &self.topic_patterns)?;
        let made = self.secret.is_none().then(generate_secret);
        let secret = self.secret.or_else(|| made.clone()).unwrap_or_default();
        check_secret(&secret)?;
        check_secret_form(&secret)?;
        let settings = self.settings.unwrap_or_default().apply(&Settings::default());
        let settings = settings.map_err(|error| Problem::invalid(format!("settings: {error}")))?;
        let (name, enabled, secret) = (self.name, self.enabled, Secret::new(secret));
        Ok((catalog::NewSubscription { name, url, secret, patterns, enabled, settings }, made))
    }
}
