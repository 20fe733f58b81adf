//! Changes of a subscription, as a JSON merge patch.

use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::{Change, SettingsPatch};
use decnet_core::subscription::{check_secret_form, requested_patterns};
use decnet_store::catalog::Patch;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::settings::SettingsChange;
use crate::body;
use crate::problem::Problem;

/// The fields to change; absent fields remain unchanged.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SubscriptionPatch {
    /// New name, unique; see `name` of a new subscription.
    #[serde(default)]
    #[schema(value_type = Option<String>, nullable = false, min_length = 1, max_length = 64)]
    name: Change<String>,
    /// New receiver.
    #[serde(default)]
    #[schema(value_type = Option<String>, nullable = false, format = "uri", min_length = 1, max_length = 2083)]
    url: Change<String>,
    /// New secret, effective at once: the old secret no longer signs. After `rotate-secret`, both sign for a while.
    #[serde(default)]
    #[schema(value_type = Option<String>, nullable = false, min_length = 16, max_length = 256)]
    secret: Change<String>,
    /// New topics; they replace the whole list.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, nullable = false, min_items = 1, max_items = 1024)]
    topic_patterns: Change<Vec<String>>,
    /// Whether the subscription receives events; `true` also resets its circuit breaker.
    #[serde(default)]
    #[schema(value_type = Option<bool>, nullable = false)]
    enabled: Change<bool>,
    /// Whether the deliveries of the subscription are held back.
    #[serde(default)]
    #[schema(value_type = Option<bool>, nullable = false)]
    paused: Change<bool>,
    /// Settings to change; null resets all of them to their defaults.
    #[serde(default, deserialize_with = "settings")]
    #[schema(value_type = Option<SettingsChange>)]
    settings: SettingsPatch,
}

fn settings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SettingsPatch, D::Error> {
    Ok(body::nullable_object(deserializer)?.unwrap_or_else(defaults))
}

impl SubscriptionPatch {
    pub(super) fn read(self) -> Result<Patch, Problem> {
        let url = not_null("url", self.url)?.map(|url| EndpointUrl::new(&url)).transpose();
        let patterns = not_null("topic_patterns", self.topic_patterns)?;
        let secret = not_null("secret", self.secret)?;
        secret.as_deref().map_or(Ok(()), check_secret_form)?;
        Ok(Patch {
            name: not_null("name", self.name)?,
            url: url.map_err(|error| Problem::invalid(format!("url: {error}")))?,
            secret: secret.map(Secret::new),
            patterns: patterns.map(|patterns| requested_patterns(&[], &patterns)).transpose()?,
            enabled: not_null("enabled", self.enabled)?,
            paused: not_null("paused", self.paused)?,
            settings: self.settings,
        })
    }
}

/// Returns the change of a field that cannot be removed.
fn not_null<T>(field: &str, change: Change<T>) -> Result<Option<T>, Problem> {
    match change {
        Change::Keep => Ok(None),
        Change::To(value) => Ok(Some(value)),
        Change::Reset => Err(Problem::invalid(format!(
            "{field}: null cannot remove it, since a subscription must have one"
        ))),
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
        headers: Change::Reset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(patch: &str) -> Result<Patch, Problem> {
        serde_json::from_str::<SubscriptionPatch>(patch).unwrap().read()
    }

    #[test]
    fn absent_fields_are_kept_and_null_resets_only_settings() {
        assert_eq!(read("{}").unwrap(), Patch::default());
        let patch = read(r#"{"settings":{"rate":null,"timeout":"5s"}}"#).unwrap();
        assert_eq!(patch.settings.rate, Change::Reset);
        assert!(patch.settings.ordered.is_keep() && !patch.settings.timeout.is_keep());
        assert_eq!(read(r#"{"settings":null}"#).unwrap().settings, defaults());
        assert!(read(r#"{"name":null}"#).unwrap_err().detail().starts_with("name"));
        let error = serde_json::from_str::<SubscriptionPatch>(r#"{"nmae":"x"}"#).err().unwrap();
        assert!(error.to_string().contains("`nmae`"));
    }
}
