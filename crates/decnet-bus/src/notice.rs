//! What a bus of ours tells one connection about itself.
//!
//! DECNET's protocol has no such frame. A client asks for notices in the body of its `HELLO`, which DECNET's daemon does
//! not read; a bus of ours then sends `HELLO decnet-bus` frames. A client that has received one therefore knows that the
//! bus is ours, and that events on [`BUS_HEALTH_TOPIC`](decnet_core::topic::own::BUS_HEALTH_TOPIC) are its own.

use serde::{Deserialize, Serialize};

/// The name with which a bus of ours greets.
pub(crate) const BUS_NAME: &str = "decnet-bus";
/// The body of a `HELLO` that asks for notices.
pub(crate) const ASK: &[u8] = br#"{"notices":true}"#;

/// What a bus of ours tells one connection about itself: first as the answer to its `HELLO`, then with every change.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Notice {
    /// Why the connection does not get the lossless queue that its name asks for.
    #[serde(default)]
    pub refused: Option<Box<str>>,
    /// Events for this connection that the bus has dropped.
    #[serde(default)]
    pub lost: u64,
}

#[derive(Default, Deserialize)]
struct Greeting {
    #[serde(default)]
    notices: bool,
}

/// Returns whether the body of a `HELLO` asks for notices. A body that is anything else does not.
pub(crate) fn is_asked(body: &[u8]) -> bool {
    !body.is_empty() && serde_json::from_slice::<Greeting>(body).is_ok_and(|greeting| greeting.notices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_that_asks_gets_notices() {
        assert!(is_asked(ASK));
        for body in [&b""[..], b"{}", b"{\"notices\":false}", b"{\"notices\":1}", b"[not,", b"\xff"] {
            assert!(!is_asked(body), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn a_notice_of_a_newer_bus_is_read() {
        let newer: Notice = serde_json::from_str(r#"{"lost":3,"more":[1]}"#).unwrap();
        assert_eq!(newer, Notice { refused: None, lost: 3 });
    }
}
