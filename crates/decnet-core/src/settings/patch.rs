//! Changes of settings: JSON merge patches (RFC 7396), also built from command-line arguments. An absent setting is kept, and
//! null resets it to the default.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::{Batch, BatchError, Concurrency, HeaderChanges, HeaderError, Headers, Rate, Settings, Timeout};
use crate::delivery::RetrySchedule;
use crate::duration::DurationText;
use crate::event::BatchFormat;

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
    /// [`Settings::headers`]: `{"x-tenant": "a", "x-old": null}`; `null` instead of the object removes all headers.
    pub headers: Change<HeaderChanges>,
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
    /// The batch settings or the headers are invalid.
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
        Ok(Settings {
            rate: self.rate.apply(to.rate),
            ordered: self.ordered.apply(Some(to.ordered)).unwrap_or_default(),
            batch,
            retry_schedule: self.retry_schedule.apply(to.retry_schedule.clone()),
            timeout: self.timeout.apply(to.timeout),
            concurrency: self.concurrency.apply(to.concurrency),
            trace: self.trace.apply(Some(to.trace)).unwrap_or_default(),
            headers,
            unknown: to.unknown.clone(),
        })
    }

    /// Returns whether the patch changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
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
                "headers": {"X-Tenant": "a", "authorization": "Bearer hunter2"}}"#,
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
                       "concurrency": null, "trace": null, "headers": null}"#;
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
    fn settings_of_a_newer_version_survive_a_change() {
        let newer: Settings = serde_json::from_str(r#"{"rate": "1/s", "filter": {"a": [1]}}"#).unwrap();
        let changed = applied(r#"{"rate": "2/s"}"#, &newer);
        assert_eq!(serde_json::to_string(&changed).unwrap(), r#"{"rate":"2/s","filter":{"a":[1]}}"#);
    }
}
