//! The settings of a subscription beyond DECNET's row.

mod batch;
mod bounds;
mod credentials;
mod destination;
mod headers;
mod patch;
mod rate;
mod redacted;
mod unknown;

use serde::{Deserialize, Serialize};

pub use self::batch::{Batch, BatchError};
pub use self::bounds::{Concurrency, ConcurrencyError, Timeout, TimeoutError};
pub use self::credentials::{
    Auth, ClientCertificate, Credentials, CredentialsError, OAuth2, PrivateKey, TrustRoots,
};
pub use self::destination::{
    DestinationError, Digest, FilterSource, FormatChoice, Method, Source, TemplateSource,
};
pub use self::headers::{HeaderChanges, HeaderError, Headers};
pub use self::patch::{BatchPatch, Change, SettingsError, SettingsPatch};
pub use self::rate::{Pacer, ParseRateError, Rate};
pub use self::redacted::RedactedSettings;
pub use self::unknown::UnknownSettings;
use crate::delivery::RetrySchedule;
use crate::severity::Severity;

/// The settings of one subscription; defaults apply to unset settings.
///
/// Serializes to the form that the catalog stores, which has no secrets: headers and credentials are stored separately.
/// [`RedactedSettings`] is the form for people and the API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The maximum rate of attempts; deliveries beyond it wait. A batch is one attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Whether events are delivered one at a time (with batches: one batch at a time), in the order of admission. A failed
    /// delivery blocks later deliveries until it is delivered or dead.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ordered: bool,
    /// The batch settings; without them, each request has one event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
    /// The delays of retries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_schedule: Option<RetrySchedule>,
    /// The timeout of an attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Timeout>,
    /// The maximum number of requests in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// Whether requests have a `traceparent` (W3C Trace Context), derived from the event and the attempt: see [`crate::trace`].
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub trace: bool,
    /// The filter: an event is delivered only if this CEL expression is true for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<FilterSource>,
    /// The lowest severity of the events that are delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_severity: Option<Severity>,
    /// The format of requests; without it, the body is the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<FormatChoice>,
    /// The template of the format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateSource>,
    /// The method of requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// Whether bodies are compressed (`content-encoding: gzip`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gzip: bool,
    /// The digest of events for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The headers of every request, in addition to decnet's own.
    #[serde(skip)]
    pub headers: Headers,
    /// The credentials of every request and connection.
    #[serde(skip)]
    pub credentials: Credentials,
    /// Settings of a newer version: kept, but without effect.
    #[serde(flatten)]
    pub unknown: UnknownSettings,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::BatchFormat;

    #[test]
    fn only_settings_that_differ_from_the_default_are_stored() {
        let batch = Batch::new(100, Duration::from_secs(1), BatchFormat::CloudEvents).ok();
        let settings = Settings { rate: "50/s".parse().ok(), ordered: true, batch, ..Settings::default() };
        let json = serde_json::to_string(&settings).unwrap();
        let batch = r#"{"max_events":100,"linger":"1s","format":"cloudevents"}"#;
        assert_eq!(json, format!(r#"{{"rate":"50/s","ordered":true,"batch":{batch}}}"#));
        assert_eq!(serde_json::from_str::<Settings>(&json).unwrap(), settings);
        assert_eq!(serde_json::from_str::<Settings>("{}").unwrap(), Settings::default());
        assert_eq!(serde_json::to_string(&Settings::default()).unwrap(), "{}");
    }

    #[test]
    fn settings_of_older_versions_are_read() {
        let settings = serde_json::from_str::<Settings>(r#"{"rate":"50/s","ordered":true}"#).unwrap();
        assert_eq!(settings, Settings { rate: "50/s".parse().ok(), ordered: true, ..Settings::default() });
    }
}
