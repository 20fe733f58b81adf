//! What a bus of ours tells of its losses in its heartbeat.

use serde::{Deserialize, Serialize};

/// What a bus has lost since it started. It says so in the payload of its heartbeat, beside DECNET's own keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Losses {
    /// Events that ordinary readers did not get, for they read too slowly.
    pub dropped_ordinary: u64,
    /// Events that [lossless readers](crate::Lossless) did not get: too slow for too long, or away for too long.
    pub dropped_lossless: u64,
    /// How often publishers had to begin to wait for a lossless reader.
    pub publisher_pauses: u64,
}

#[derive(Deserialize)]
struct Heartbeat {
    payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    dropped_ordinary: Option<u64>,
    dropped_lossless: Option<u64>,
    publisher_pauses: Option<u64>,
}

impl Losses {
    /// Reads the envelope of a heartbeat; `None` from a bus that does not tell, as DECNET's.
    ///
    /// # Errors
    /// What is no heartbeat, or tells of its losses otherwise than in whole numbers.
    pub fn of_heartbeat(envelope: &[u8]) -> Result<Option<Self>, serde_json::Error> {
        let Heartbeat { payload } = serde_json::from_slice(envelope)?;
        let Payload { dropped_ordinary, dropped_lossless, publisher_pauses } = payload;
        Ok(dropped_ordinary.zip(dropped_lossless).zip(publisher_pauses).map(
            |((dropped_ordinary, dropped_lossless), publisher_pauses)| Self {
                dropped_ordinary,
                dropped_lossless,
                publisher_pauses,
            },
        ))
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
    fn a_heartbeat_tells_all_of_it_or_nothing() {
        let all =
            r#"{"pid":1,"dropped_ordinary":1,"dropped_lossless":18446744073709551615,"publisher_pauses":3}"#;
        let losses = Losses { dropped_ordinary: 1, dropped_lossless: u64::MAX, publisher_pauses: 3 };
        assert_eq!(read(all), Some(Some(losses)));
        for without in [r#"{"pid":1,"uptime_sec":0.5,"ts":1.5}"#, "{}", r#"{"dropped_ordinary":1}"#] {
            assert_eq!(read(without), Some(None), "{without}");
        }
    }

    #[test]
    fn what_is_no_count_is_refused() {
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
