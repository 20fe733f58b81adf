//! The loss counters in the heartbeat of this project's bus.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The numbers of lost events since the bus started. The heartbeat's payload contains them in addition to DECNET's own keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Losses {
    /// Events dropped for ordinary readers, which read too slowly.
    pub dropped_ordinary: u64,
    /// Events dropped for [lossless readers](crate::Lossless) that were too slow or disconnected for too long.
    pub dropped_lossless: u64,
    /// The number of times that publishers began to wait for a lossless reader.
    pub publisher_pauses: u64,
}

#[derive(Deserialize)]
struct Heartbeat {
    payload: Map<String, Value>,
}

impl Losses {
    /// Reads the envelope of a heartbeat. Returns `None` if it does not have all loss counters, as in a heartbeat of DECNET's
    /// daemon.
    ///
    /// # Errors
    /// The envelope is not a heartbeat, or a counter is not a whole number.
    pub fn of_heartbeat(envelope: &[u8]) -> Result<Option<Self>, serde_json::Error> {
        let Heartbeat { payload } = serde_json::from_slice(envelope)?;
        let mut counters = ["dropped_ordinary", "dropped_lossless", "publisher_pauses"].into_iter();
        let is_complete = counters.all(|counter| payload.contains_key(counter));
        is_complete.then(|| Self::deserialize(Value::Object(payload))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(payload: &str) -> Option<Option<Losses>> {
        let envelope = format!(r#"{{"v":1,"topic":"system.bus.health","payload":{payload}}}"#);
        Losses::of_heartbeat(envelope.as_bytes()).ok()
    }

    #[test]
    fn a_heartbeat_has_all_counters_or_none() {
        let all =
            r#"{"pid":1,"dropped_ordinary":1,"dropped_lossless":18446744073709551615,"publisher_pauses":3}"#;
        let losses = Losses { dropped_ordinary: 1, dropped_lossless: u64::MAX, publisher_pauses: 3 };
        assert_eq!(read(all), Some(Some(losses)));
        for without in [r#"{"pid":1,"uptime_sec":0.5,"ts":1.5}"#, "{}", r#"{"dropped_ordinary":1}"#] {
            assert_eq!(read(without), Some(None), "{without}");
        }
    }

    #[test]
    fn invalid_counters_are_rejected() {
        for count in ["-1", "1.5", "\"1\"", "18446744073709551616", "1e3", "[]", "true", "NaN"] {
            let payload =
                format!(r#"{{"dropped_ordinary":{count},"dropped_lossless":0,"publisher_pauses":0}}"#);
            assert_eq!(read(&payload), None, "{count}");
        }
        for odd in ["7", "\"\"", "null"] {
            assert_eq!(read(odd), None, "{odd}");
        }
        assert!(Losses::of_heartbeat(b"").is_err());
    }
}
