//! What an operator can ask for one subscription, beyond what DECNET's row holds.

mod batch;
mod rate;

use serde::{Deserialize, Serialize};

pub use self::batch::{Batch, BatchError};
pub use self::rate::{Pace, ParseRateError, Rate};

/// One subscription's own settings; what is not set is as it is for all.
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
        let settings = Settings { rate: "50/s".parse().ok(), ordered: true, batch };
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
        assert_eq!(settings, Settings { rate: "50/s".parse().ok(), ordered: true, batch: None });
    }
}
