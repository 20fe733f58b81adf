//! What an operator can ask for one subscription, beyond what DECNET's row holds.

mod batch;
mod bounds;
mod headers;
mod patch;
mod rate;
mod shown;
mod unknown;

use serde::{Deserialize, Serialize};

pub use self::batch::{Batch, BatchError};
pub use self::bounds::{Concurrency, ConcurrencyError, Timeout, TimeoutError};
pub use self::headers::{HeaderChanges, HeaderError, Headers};
pub use self::patch::{BatchPatch, Change, SettingsError, SettingsPatch};
pub use self::rate::{Pace, ParseRateError, Rate};
pub use self::shown::Shown;
pub use self::unknown::Unknown;
use crate::delivery::RetrySchedule;

/// One subscription's own settings; what is not set is as it is for all.
///
/// Serialises to what rests in the catalog's settings, which holds no secret: the headers are kept apart. For people
/// and the API there is [`Shown`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// At most so many attempts a time; what is over waits, nothing is dropped. A batch is one attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// One at a time, in the order of admission; a failure holds the line until it is delivered or dead.
    /// With batches: one batch at a time, and in order within it.
    #[serde(skip_serializing_if = "is_false")]
    pub ordered: bool,
    /// Several events in one request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
    /// When failed attempts are tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_schedule: Option<RetrySchedule>,
    /// How long an attempt may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Timeout>,
    /// Most requests in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// Each request carries a `traceparent` (W3C Trace Context), made of its event and attempt: see [`crate::trace`].
    #[serde(skip_serializing_if = "is_false")]
    pub trace: bool,
    /// Headers of every request, beside those that decnet writes itself.
    #[serde(skip)]
    pub headers: Headers,
    /// What a newer program has written: kept as it is, and not obeyed.
    #[serde(flatten)]
    pub unknown: Unknown,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::BatchFormat;

    #[test]
    fn settings_are_kept_as_json_and_default_where_absent() {
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
    fn settings_of_before_there_were_batches_are_read() {
        let settings = serde_json::from_str::<Settings>(r#"{"rate":"50/s","ordered":true}"#).unwrap();
        assert_eq!(settings, Settings { rate: "50/s".parse().ok(), ordered: true, ..Settings::default() });
    }
}
