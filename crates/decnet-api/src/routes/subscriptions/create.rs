//! Creation of a subscription.

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
    /// Unique name, also after Unicode normalization (NFC). No surrounding spaces, no control characters, and none that are
    /// invisible or change the direction of text.
    #[schema(min_length = 1, max_length = 64, example = "siem")]
    name: String,
    /// Receiver of the events: http or https, at an address that the egress guard allows.
    #[schema(format = "uri", min_length = 1, max_length = 2083, example = "https://siem.example/hook")]
    url: String,
    /// Topics of the events: `*` matches one token, `>` the rest.
    #[schema(min_items = 1, max_items = 1024, example = json!(["attacker.>"]))]
    topic_patterns: Vec<String>,
    /// Signing secret; generated if absent.
    #[schema(min_length = 16, max_length = 256)]
    secret: Option<String>,
    /// Whether the subscription receives events.
    #[serde(default = "yes")]
    #[schema(default = true)]
    enabled: bool,
    /// Settings that differ from the defaults.
    #[serde(default, deserialize_with = "body::nullable_object")]
    #[schema(value_type = Option<SettingsChange>)]
    settings: Option<SettingsPatch>,
}

fn yes() -> bool {
    true
}

impl NewSubscription {
    /// Returns the subscription, and its secret if one was generated.
    pub(super) fn read(self) -> Result<(catalog::NewSubscription, Option<String>), Problem> {
        check_new_name(&self.name)?;
        let url = EndpointUrl::new(&self.url).map_err(|error| Problem::invalid(format!("url: {error}")))?;
        let patterns = requested_patterns(&[], &self.topic_patterns)?;
        let generated = self.secret.is_none().then(generate_secret);
        let secret = self.secret.or_else(|| generated.clone()).unwrap_or_default();
        check_secret(&secret)?;
        check_secret_form(&secret)?;
        let settings = self.settings.unwrap_or_default().apply(&Settings::default());
        let settings = settings.map_err(|error| Problem::invalid(format!("settings: {error}")))?;
        let (name, enabled, secret) = (self.name, self.enabled, Secret::new(secret));
        Ok((catalog::NewSubscription { name, url, secret, patterns, enabled, settings }, generated))
    }
}
