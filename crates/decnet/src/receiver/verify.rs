//! Verification of the signatures and the timestamp of a request.

use std::time::Duration;

use decnet_core::signature::SigningKey;
use decnet_core::time::UnixMicros;

/// The maximum difference between a timestamp and the clock before a request counts as replayed, as in the Standard
/// Webhooks libraries.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// The result of the signature check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Every signature of the request is valid, and the timestamp is recent.
    Verified,
    /// The request has no signature.
    Unsigned,
    /// A signature or the timestamp is invalid, with the reason.
    Forged(&'static str),
    /// There is no secret to check with.
    Unchecked,
}

impl Origin {
    /// Returns the text for the output.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Unsigned => "UNSIGNED",
            Self::Forged(_) => "BAD SIGNATURE",
            Self::Unchecked => "unchecked",
        }
    }

    /// Returns the reason why the request is not verified, if the text does not state it.
    pub(crate) fn reason(self) -> Option<&'static str> {
        match self {
            Self::Forged(why) => Some(why),
            Self::Unchecked => Some("no secret given"),
            Self::Verified | Self::Unsigned => None,
        }
    }
}

/// Checks DECNET's signature and that of Standard Webhooks; each signature that is present must be valid.
pub(crate) fn origin<'h>(
    header: impl Fn(&'static str) -> &'h str,
    body: &[u8],
    key: Option<&SigningKey>,
    now: UnixMicros,
) -> Origin {
    let Some(key) = key else { return Origin::Unchecked };
    let (decnet, standard) = (header("x-decnet-signature"), header("webhook-signature"));
    if decnet.is_empty() && standard.is_empty() {
        return Origin::Unsigned;
    }
    if !decnet.is_empty() && !key.verify_decnet(body, decnet) {
        return Origin::Forged("X-DECNET-Signature does not match the body and the secret");
    }
    if standard.is_empty() {
        return Origin::Verified;
    }
    let Ok(timestamp) = header("webhook-timestamp").parse::<i64>() else {
        return Origin::Forged("webhook-timestamp is missing or not a number");
    };
    if !key.verify_standard(header("webhook-id"), timestamp, body, standard) {
        return Origin::Forged("webhook-signature does not match id, timestamp, body and secret");
    }
    if timestamp.abs_diff(now.as_seconds()) > TOLERANCE.as_secs() {
        return Origin::Forged("webhook-timestamp is more than 5 minutes off: a replay, or a wrong clock");
    }
    Origin::Verified
}

#[cfg(test)]
mod tests {
    use decnet_core::redact::Secret;

    use super::*;

    const NOW: UnixMicros = UnixMicros(1_776_988_800_000_000);
    const BODY: &[u8] = br#"{"a":1}"#;

    fn key() -> SigningKey {
        SigningKey::new(&Secret::new("sixteen characters"))
    }

    fn verified(headers: &[(&'static str, String)]) -> Origin {
        let header = |name: &'static str| {
            headers.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value.as_str())
        };
        origin(header, BODY, Some(&key()), NOW)
    }

    fn standard(timestamp: i64) -> [(&'static str, String); 3] {
        [
            ("webhook-id", "e1".into()),
            ("webhook-timestamp", timestamp.to_string()),
            ("webhook-signature", key().standard("e1", timestamp, BODY)),
        ]
    }

    #[test]
    fn either_signature_is_sufficient() {
        assert_eq!(verified(&[("x-decnet-signature", key().decnet(BODY))]), Origin::Verified);
        assert_eq!(verified(&standard(NOW.as_seconds() + 299)), Origin::Verified);
    }

    #[test]
    fn missing_wrong_and_old_signatures_are_distinguished() {
        assert_eq!(verified(&[]), Origin::Unsigned);
        assert_eq!(origin(|_| "", BODY, None, NOW), Origin::Unchecked);
        let wrong = verified(&[("x-decnet-signature", key().decnet(b"else"))]);
        let old = verified(&standard(NOW.as_seconds() - 301));
        let unstamped = verified(&[("webhook-signature", "v1,AAAA".into())]);
        let mut one_of_two_wrong = standard(NOW.as_seconds()).to_vec();
        one_of_two_wrong.push(("x-decnet-signature", "sha256=00".into()));
        for origin in [wrong, old, unstamped, verified(&one_of_two_wrong)] {
            assert!(matches!(origin, Origin::Forged(_)), "{origin:?}");
        }
        assert!(old.reason().unwrap().contains("replay"));
    }
}
