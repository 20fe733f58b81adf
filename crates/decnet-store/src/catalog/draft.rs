//! Subscriptions that are not stored, for previews.

use std::sync::Arc;

use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::Settings;
use decnet_core::subscription::{Activity, Problem, Subscription};

use super::destination;
use super::edit::Patch;
use super::secret::generate_secret;
use super::validate::{RowVersion, StoredSubscription, authorization};

/// The URL of a draft; the domain never exists (RFC 2606, section 2).
const DRAFT_URL: &str = "https://receiver.invalid/";

impl StoredSubscription {
    /// Returns a subscription without patterns, with default settings and a random secret.
    #[must_use]
    pub fn draft() -> Self {
        let url = EndpointUrl::new(DRAFT_URL).expect("a constant URL is valid");
        let secret = Secret::new(generate_secret());
        let (uuid, activity): (Box<str>, _) = ("draft".into(), Activity::Active);
        let version =
            RowVersion { uuid: uuid.clone(), url: DRAFT_URL.into(), secret: secret.clone(), activity };
        Self {
            subscription: Subscription {
                name: uuid.clone(),
                uuid,
                url,
                secret,
                patterns: Vec::new(),
                activity,
                consecutive_failures: 0,
            },
            gone: false,
            settings: Settings::default(),
            paused: false,
            hold: None,
            deferred_until: None,
            deferrals_lifted: 0,
            old_secrets: Box::default(),
            warnings: Vec::new(),
            version: Arc::new(version),
        }
    }

    /// Returns the subscription as it would be after a change of its URL, patterns and settings.
    ///
    /// # Errors
    /// [`Catalog::update`](super::Catalog::update) would reject the settings.
    pub fn with(mut self, patch: &Patch) -> Result<Self, Problem> {
        if let Some(url) = &patch.url {
            self.subscription.url = url.clone();
        }
        if let Some(patterns) = &patch.patterns {
            self.subscription.patterns.clone_from(patterns);
        }
        self.settings = patch.settings.apply(&self.settings)?;
        authorization(&self.settings, &self.subscription.url)?;
        destination::check(&self.settings)?;
        Ok(Self { hold: None, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draft_accepts_what_the_catalog_accepts() {
        let patch = |settings: &str| Patch {
            url: EndpointUrl::new("https://user:password@a.example/").ok(),
            settings: serde_json::from_str(settings).unwrap(),
            ..Patch::default()
        };
        let changed = StoredSubscription::draft().with(&patch(r#"{"format": "slack"}"#)).unwrap();
        assert_eq!(changed.subscription.url.host_str(), "a.example");
        for (settings, problem) in [
            (r#"{"filter": "payload."}"#, "filter: "),
            (r#"{"template": "{{ title }}"}"#, "format: a template needs a format"),
            (r#"{"auth": {"type": "bearer", "token": "x"}}"#, "only one of the URL's user information"),
        ] {
            let refused = StoredSubscription::draft().with(&patch(settings)).unwrap_err().to_string();
            assert!(refused.starts_with(problem), "{refused}");
        }
    }
}
