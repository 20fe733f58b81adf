//! Changes of settings: JSON merge patches (RFC 7396), also built from command-line arguments. An absent setting is kept, and
//! null resets it to the default.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::{
    Auth, Batch, BatchError, ClientCertificate, Concurrency, Credentials, CredentialsError, DestinationError,
    Digest, FilterSource, FormatChoice, HeaderChanges, HeaderError, Headers, Method, PrivateKey, Rate,
    Settings, TemplateSource, Timeout, TrustRoots,
};
use crate::delivery::RetrySchedule;
use crate::duration::DurationText;
use crate::event::BatchFormat;
use crate::severity::Severity;

/// The change of one setting. In JSON it is absent, `null`, or a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// The current value is kept.
    #[default]
    Keep,
    /// The setting is reset to its default.
    Reset,
    /// The setting gets this value.
    To(T),
}

/// A change of one subscription's settings. In JSON, unknown settings are rejected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SettingsPatch {
    /// [`Settings::rate`]: `"50/s"`.
    pub rate: Change<Rate>,
    /// [`Settings::ordered`].
    pub ordered: Change<bool>,
    /// [`Settings::batch`]; its absent fields are kept too.
    pub batch: Change<BatchPatch>,
    /// [`Settings::retry_schedule`]: `"1s,2s,30s"`, or `"none"`.
    pub retry_schedule: Change<RetrySchedule>,
    /// [`Settings::timeout`]: `"5s"`.
    pub timeout: Change<Timeout>,
    /// [`Settings::concurrency`].
    pub concurrency: Change<Concurrency>,
    /// [`Settings::trace`].
    pub trace: Change<bool>,
    /// [`Settings::filter`]: `"payload.port == 22"`.
    pub filter: Change<FilterSource>,
    /// [`Settings::min_severity`]: `"high"`.
    pub min_severity: Change<Severity>,
    /// [`Settings::format`]: `"slack"`, or `{"name": "elastic", "options": {"index": "decnet"}}`.
    pub format: Change<FormatChoice>,
    /// [`Settings::template`].
    pub template: Change<TemplateSource>,
    /// [`Settings::method`]: `"POST"` or `"PUT"`.
    pub method: Change<Method>,
    /// [`Settings::gzip`].
    pub gzip: Change<bool>,
    /// [`Settings::digest`]: `{"window": "1m", "max": 20}`.
    pub digest: Change<Digest>,
    /// [`Settings::headers`]: `{"x-tenant": "a", "x-old": null}`; `null` instead of the object removes all headers.
    pub headers: Change<HeaderChanges>,
    /// [`Credentials::auth`]: `{"type": "bearer", "token": "…"}`. See [`Auth`] for the other types.
    pub auth: Change<Auth>,
    /// [`Credentials::client_certificate`]: `{"certificates": "-----BEGIN …", "key": "-----BEGIN …"}`.
    pub client_certificate: Change<ClientCertificate>,
    /// [`Credentials::trust_roots`]: `"-----BEGIN CERTIFICATE-----…"`.
    pub trust_roots: Change<TrustRoots>,
    /// [`Credentials::private_key`]: `"whsk_…"`.
    pub private_key: Change<PrivateKey>,
}

/// A change of the batch settings. A subscription without batch settings needs `max_events`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchPatch {
    /// The maximum number of events of a batch.
    pub max_events: Option<usize>,
    /// The time for which the first event waits for other events: `"1s"`.
    pub linger: Change<DurationText>,
    /// The format of the body: `"array"` or `"cloudevents"`.
    pub format: Change<BatchFormat>,
}

/// The reason why a change is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The batch settings are invalid.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The headers are invalid.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The settings of the destination are invalid.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// The credentials are invalid, or contradict the URL or a header.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

impl<T> Change<T> {
    /// Returns whether the current value is kept.
    #[must_use]
    pub fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }
}

impl<T: Clone> Change<T> {
    fn apply(&self, current: Option<T>) -> Option<T> {
        match self {
            Self::Keep => current,
            Self::Reset => None,
            Self::To(value) => Some(value.clone()),
        }
    }
}

impl SettingsPatch {
    /// Returns the settings after the change. Settings of a newer version are kept.
    ///
    /// # Errors
    /// The batch settings or the headers are invalid, or both a batch and a digest are set. The check of the credentials against the
    /// URL is [`Credentials::check`].
    pub fn apply(&self, to: &Settings) -> Result<Settings, SettingsError> {
        let batch = match &self.batch {
            Change::Keep => to.batch,
            Change::Reset => None,
            Change::To(patch) => Some(patch.apply(to.batch)?),
        };
        let headers = match &self.headers {
            Change::Keep => to.headers.clone(),
            Change::Reset => Headers::default(),
            Change::To(changes) => to.headers.with_changes(changes)?,
        };
        let changed = Settings {
            rate: self.rate.apply(to.rate),
            ordered: self.ordered.apply(Some(to.ordered)).unwrap_or_default(),
            batch,
            retry_schedule: self.retry_schedule.apply(to.retry_schedule.clone()),
            timeout: self.timeout.apply(to.timeout),
            concurrency: self.concurrency.apply(to.concurrency),
            trace: self.trace.apply(Some(to.trace)).unwrap_or_default(),
            filter: self.filter.apply(to.filter.clone()),
            min_severity: self.min_severity.apply(to.min_severity),
            format: self.format.apply(to.format.clone()),
            template: self.template.apply(to.template.clone()),
            method: self.method.apply(to.method),
            gzip: self.gzip.apply(Some(to.gzip)).unwrap_or_default(),
            digest: self.digest.apply(to.digest),
            headers,
            credentials: self.apply_credentials(&to.credentials),
            unknown: to.unknown.clone(),
        };
        if changed.batch.is_some() && changed.digest.is_some() {
            return Err(DestinationError::BatchAndDigest.into());
        }
        Ok(changed)
    }

    fn apply_credentials(&self, to: &Credentials) -> Credentials {
        Credentials {
            auth: self.auth.apply(to.auth.clone()),
            client_certificate: self.client_certificate.apply(to.client_certificate.clone()),
            trust_roots: self.trust_roots.apply(to.trust_roots.clone()),
            private_key: self.private_key.apply(to.private_key.clone()),
        }
    }

    /// Returns the credentials that the patch sets.
    #[must_use]
    pub fn new_credentials(&self) -> Credentials {
        self.apply_credentials(&Credentials::default())
    }

    /// Returns whether the patch changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether the patch changes the credentials.
    #[must_use]
    pub fn changes_credentials(&self) -> bool {
        let Self { auth, client_certificate, trust_roots, private_key, .. } = self;
        !(auth.is_keep() && client_certificate.is_keep() && trust_roots.is_keep() && private_key.is_keep())
    }

    /// Returns the changes of settings that are not secret: without headers and credentials.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        Self {
            headers: Change::Keep,
            auth: Change::Keep,
            client_certificate: Change::Keep,
            trust_roots: Change::Keep,
            private_key: Change::Keep,
            ..self.clone()
        }
    }
}

impl BatchPatch {
    fn apply(&self, to: Option<Batch>) -> Result<Batch, BatchError> {
        let max_events = self.max_events.or(to.map(Batch::max_events)).ok_or(BatchError::Unsized)?;
        let linger = self.linger.apply(to.map(|batch| DurationText(batch.linger())));
        let format = self.format.apply(to.map(Batch::format)).unwrap_or_default();
        Batch::new(max_events, linger.map_or(Batch::DEFAULT_LINGER, |DurationText(linger)| linger), format)
    }
}

/// Parses `null` or a value. Absent fields are not deserialized: their default is `Keep`.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Reset, Self::To))
    }
}

/// Errors do not contain the input, which may be a misplaced secret.
impl<'de> Deserialize<'de> for HeaderChanges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = "headers must be an object whose values are strings, or null to remove a header";
        let json = serde_json::Value::deserialize(deserializer)?;
        let all =
            BTreeMap::<String, Option<String>>::deserialize(json).map_err(|_| D::Error::custom(form))?;
        let changes = all.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
        Self::new(changes).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn patch(json: &str) -> SettingsPatch {
        serde_json::from_str(json).unwrap()
    }

    fn applied(json: &str, to: &Settings) -> Settings {
        patch(json).apply(to).unwrap()
    }

    fn full() -> Settings {
        applied(
            r#"{"rate": "50/s", "ordered": true, "batch": {"max_events": 9, "linger": "2s", "format": "cloudevents"},
                "retry_schedule": "1s,2s", "timeout": "5s", "concurrency": 4, "trace": true,
                "filter": "true", "min_severity": "high", "format": "slack", "template": "{{ title }}", "method": "PUT",
                "gzip": true, "headers": {"X-Tenant": "a", "authorization": "Bearer hunter2"},
                "auth": {"type": "bearer", "token": "hunter2"}, "trust_roots": "-----BEGIN CERTIFICATE-----"}"#,
            &Settings::default(),
        )
    }

    #[test]
    fn absent_settings_are_kept_and_null_resets_them() {
        let full = full();
        assert_eq!(applied("{}", &full), full);
        let less = applied(r#"{"rate": null, "trace": null, "retry_schedule": "none"}"#, &full);
        assert_eq!((less.rate, less.trace, less.ordered), (None, false, true));
        assert_eq!(less.retry_schedule.map(|schedule| schedule.retries()), Some(0));
        let none = r#"{"rate": null, "ordered": null, "batch": null, "retry_schedule": null, "timeout": null,
                       "concurrency": null, "trace": null, "filter": null, "min_severity": null, "format": null,
                       "template": null, "method": null, "gzip": null, "digest": null, "headers": null, "auth": null,
                       "client_certificate": null, "trust_roots": null, "private_key": null}"#;
        assert_eq!(applied(none, &full), Settings::default());
    }

    #[test]
    fn batches_and_headers_are_merged() {
        let changed =
            applied(r#"{"batch": {"linger": "3s"}, "headers": {"X-TENANT": null, "x-b": "c"}}"#, &full());
        let batch = Batch::new(9, Duration::from_secs(3), BatchFormat::CloudEvents).unwrap();
        assert_eq!(changed.batch, Some(batch));
        assert_eq!(changed.headers.names().collect::<Vec<_>>(), ["authorization", "x-b"]);
        let unsized_batch = patch(r#"{"batch": {"linger": "3s"}}"#).apply(&Settings::default());
        assert_eq!(unsized_batch, Err(BatchError::Unsized.into()));
    }

    #[test]
    fn errors_of_invalid_patches_do_not_contain_secrets() {
        for bad in [
            r#"{"rate": "hunter"}"#,
            r#"{"concurrency": 0}"#,
            r#"{"timeout": "1h"}"#,
            r#"{"retry_schedule": "2d"}"#,
            r#"{"colour": "red"}"#,
            r#"{"batch": {"size": 9}}"#,
            r#"{"headers": "authorization: hunter2"}"#,
            r#"{"headers": {"authorization": ["hunter2"]}}"#,
            r#"{"headers": {"authorization": "hunter2\n"}}"#,
            r#"{"headers": {"host": "hunter2"}}"#,
            r#"{"headers": {"X-A": "hunter2", "x-a": "hunter2"}}"#,
        ] {
            let error = serde_json::from_str::<SettingsPatch>(bad).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn credentials_change_one_by_one() {
        let full = full();
        let basic = patch(r#"{"auth": {"type": "basic", "user": "x", "password": "y"}}"#);
        let changed = basic.apply(&full).unwrap();
        assert_eq!(changed.credentials.auth, Auth::basic("x", crate::redact::Secret::new("y")).ok());
        assert_eq!(changed.credentials.trust_roots, full.credentials.trust_roots);
        assert!(basic.changes_credentials() && basic.without_secrets().is_empty());
        assert!(!patch(r#"{"rate": "1/s", "headers": null}"#).changes_credentials());
    }

    #[test]
    fn settings_of_a_newer_version_survive_a_change() {
        let newer: Settings = serde_json::from_str(r#"{"rate": "1/s", "newer": {"a": [1]}}"#).unwrap();
        let changed = applied(r#"{"rate": "2/s"}"#, &newer);
        assert_eq!(serde_json::to_string(&changed).unwrap(), r#"{"rate":"2/s","newer":{"a":[1]}}"#);
    }

    #[test]
    fn batch_and_digest_exclude_each_other() {
        let digest = r#"{"digest": {"window": "1m"}}"#;
        assert_eq!(patch(digest).apply(&full()), Err(DestinationError::BatchAndDigest.into()));
        assert!(applied(digest, &Settings::default()).digest.is_some());
    }
}
