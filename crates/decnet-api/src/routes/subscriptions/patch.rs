//! Changes of a subscription, as a JSON merge patch.

use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::{Change, SettingsPatch};
use decnet_core::subscription::{check_secret_form, requested_patterns};
use decnet_store::catalog::Patch;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::settings::SettingsChange;
use crate::body::{self, Object};
use crate::problem::Problem;

/// The fields to change; absent fields remain unchanged.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SubscriptionPatch {
    /// New name, unique; see `name` of a new subscription.
    #[serde(default, deserialize_with = "body::not_null")]
    #[schema(nullable = false, min_length = 1, max_length = 64)]
    name: Option<String>,
    /// New receiver.
    #[serde(default, deserialize_with = "body::not_null")]
    #[schema(nullable = false, format = "uri", min_length = 1, max_length = 2083)]
    url: Option<String>,
    /// New secret, effective at once: the old secret no longer signs. After `rotate-secret`, both sign for a while.
    #[serde(default, deserialize_with = "body::not_null")]
    #[schema(nullable = false, min_length = 16, max_length = 256)]
    secret: Option<String>,
    /// New patterns; they replace all patterns of the subscription.
    #[serde(default, deserialize_with = "body::not_null")]
    #[schema(nullable = false, min_items = 1, max_items = 1024)]
    topic_patterns: Option<Vec<String>>,
    /// Whether the subscription receives events; `true` also resets its circuit breaker.
    #[serde(default, deserialize_with = "body::not_null")]
    #[schema(nullable = false)]
    enabled: Option<bool>,
    /// Whether the subscription is paused: its deliveries wait until it is resumed.
    #[serde(default, deserialize_with = "body::not_null")]
    #[schema(nullable = false)]
    paused: Option<bool>,
    /// Settings to change; null resets all of them to their defaults.
    #[serde(default, deserialize_with = "settings")]
    #[schema(value_type = Option<SettingsChange>)]
    settings: SettingsPatch,
}

fn settings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SettingsPatch, D::Error> {
    Ok(Option::deserialize(deserializer)?.map_or_else(defaults, |Object(settings)| settings))
}

impl SubscriptionPatch {
    pub(super) fn read(self) -> Result<Patch, Problem> {
        let Self { name, url, secret, topic_patterns, enabled, paused, settings } = self;
        let url = url.map(|url| EndpointUrl::new(&url)).transpose();
        secret.as_deref().map_or(Ok(()), check_secret_form)?;
        Ok(Patch {
            name,
            url: url.map_err(|error| Problem::invalid(format!("url: {error}")))?,
            secret: secret.map(Secret::new),
            patterns: topic_patterns.map(|patterns| requested_patterns(&[], &patterns)).transpose()?,
            enabled,
            paused,
            settings,
            discard_encrypted: false,
        })
    }
}

/// Returns a patch that resets every setting to its default.
fn defaults() -> SettingsPatch {
    SettingsPatch {
        rate: Change::Reset,
        ordered: Change::Reset,
        batch: Change::Reset,
        retry_schedule: Change::Reset,
        timeout: Change::Reset,
        concurrency: Change::Reset,
        trace: Change::Reset,
        filter: Change::Reset,
        min_severity: Change::Reset,
        format: Change::Reset,
        template: Change::Reset,
        method: Change::Reset,
        gzip: Change::Reset,
        digest: Change::Reset,
        headers: Change::Reset,
        auth: Change::Reset,
        client_certificate: Change::Reset,
        trust_roots: Change::Reset,
        private_key: Change::Reset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(patch: &str) -> Result<Patch, Problem> {
        body::read::<SubscriptionPatch>(patch.as_bytes())?.read()
    }

    #[test]
    fn absent_fields_are_kept_and_null_resets_only_settings() {
        assert_eq!(read("{}").unwrap(), Patch::default());
        let patch = read(r#"{"settings":{"rate":null,"timeout":"5s"}}"#).unwrap();
        assert_eq!(patch.settings.rate, Change::Reset);
        assert!(patch.settings.ordered.is_keep() && !patch.settings.timeout.is_keep());
        assert_eq!(read(r#"{"settings":null}"#).unwrap().settings, defaults());
        assert!(read(r#"{"name":null}"#).unwrap_err().detail().starts_with("name: must not be null"));
        assert!(read(r#"{"nmae":"x"}"#).unwrap_err().detail().contains("`nmae`"));
        assert!(read(r#"{"settings":[]}"#).unwrap_err().detail().starts_with("settings: invalid type"));
        let nested = read(r#"{"settings":{"batch":{"max_events":"x"}}}"#).unwrap_err();
        assert!(nested.detail().starts_with("settings.batch.max_events: "), "{}", nested.detail());
    }
}
