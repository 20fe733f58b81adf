//! Creation of a subscription.

use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::{Settings, SettingsPatch};
use decnet_core::subscription::{check_new_name, check_secret_form, requested_patterns};
use decnet_store::catalog::{self, generate_secret};
use serde::Deserialize;
use utoipa::ToSchema;

use super::settings::SettingsChange;
use crate::body::{self, Object};
use crate::problem::Problem;

/// A new subscription.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSubscription {
    /// Unique name, compared after Unicode normalization (NFC). It must not begin or end with a space, nor contain control
    /// characters, invisible characters, or characters that change the direction of text.
    #[schema(min_length = 1, max_length = 64, example = "siem")]
    name: String,
    /// Receiver of the events: http or https, at an address that the egress guard allows.
    #[schema(format = "uri", min_length = 1, max_length = 2083, example = "https://siem.example/hook")]
    url: String,
    /// Patterns of the topics: `*` matches one token, and `>` matches all following tokens.
    #[schema(min_items = 1, max_items = 1024, example = json!(["attacker.>"]))]
    topic_patterns: Vec<String>,
    /// Signing secret; generated if absent.
    #[schema(min_length = 16, max_length = 256)]
    secret: Option<String>,
    /// Whether the subscription receives events.
    #[serde(default, deserialize_with = "body::not_null")]
    #[schema(nullable = false, default = true)]
    enabled: Option<bool>,
    /// Settings that differ from the defaults.
    #[schema(value_type = Option<SettingsChange>)]
    settings: Option<Object<SettingsPatch>>,
}

impl NewSubscription {
    /// Returns the subscription, and its secret if one was generated.
    pub(super) fn read(self) -> Result<(catalog::NewSubscription, Option<String>), Problem> {
        check_new_name(&self.name)?;
        let url = EndpointUrl::new(&self.url).map_err(|error| Problem::invalid(format!("url: {error}")))?;
        let patterns = requested_patterns(&[], &self.topic_patterns)?;
        let generated = self.secret.is_none().then(generate_secret);
        let secret = self.secret.or_else(|| generated.clone()).unwrap_or_default();
        check_secret_form(&secret)?;
        let settings = self.settings.map(|Object(settings)| settings).unwrap_or_default();
        let settings = settings.apply(&Settings::default());
        let settings = settings.map_err(|error| Problem::invalid(format!("settings: {error}")))?;
        let (name, enabled, secret) = (self.name, self.enabled.unwrap_or(true), Secret::new(secret));
        Ok((catalog::NewSubscription { name, url, secret, patterns, enabled, settings }, generated))
    }
}
