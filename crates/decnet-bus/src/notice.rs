//! Reports of this project's bus to one connection.
//!
//! DECNET's protocol has no such frame. A client requests notices in the body of its `HELLO`, which DECNET's daemon does
//! not read. This project's bus then sends `HELLO decnet-bus` frames. A client that has received such a frame therefore knows
//! which bus it is connected to, and that only the bus publishes
//! [`BUS_HEALTH_TOPIC`](decnet_core::topic::system_topics::BUS_HEALTH_TOPIC).

use serde::{Deserialize, Serialize};

/// The name in the bus's own `HELLO`.
pub(crate) const BUS_NAME: &str = "decnet-bus";
/// The body of a `HELLO` that requests notices.
pub(crate) const ASK: &[u8] = br#"{"notices":true}"#;

/// A report from the bus to one connection, sent in reply to its `HELLO` and whenever the report changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Notice {
    /// The reason why the connection does not get the lossless queue that its name requests.
    #[serde(default)]
    pub refused: Option<Box<str>>,
    /// The number of events for this connection that the bus has dropped.
    #[serde(default)]
    pub lost: u64,
}

#[derive(Default, Deserialize)]
struct Greeting {
    #[serde(default)]
    notices: bool,
}

/// Returns whether the body of a `HELLO` requests notices. An empty or invalid body does not.
pub(crate) fn requests_notices(body: &[u8]) -> bool {
    !body.is_empty() && serde_json::from_slice::<Greeting>(body).is_ok_and(|greeting| greeting.notices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_explicit_request_enables_notices() {
        assert!(requests_notices(ASK));
        for body in [&b""[..], b"{}", b"{\"notices\":false}", b"{\"notices\":1}", b"[not,", b"\xff"] {
            assert!(!requests_notices(body), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn a_notice_of_a_newer_bus_is_read() {
        let newer: Notice = serde_json::from_str(r#"{"lost":3,"more":[1]}"#).unwrap();
        assert_eq!(newer, Notice { refused: None, lost: 3 });
    }
}
