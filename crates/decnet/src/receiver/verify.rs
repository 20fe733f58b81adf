//! Does a request come from whom it says, and now?

use std::time::Duration;

use decnet_core::signature::SigningKey;
use decnet_core::time::UnixMicros;

/// How far a timestamp may be from our clock before a request counts as replayed; what the Standard Webhooks
/// libraries allow.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// What the signatures of a request say about its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Every signature that it carries fits, and it is fresh.
    Verified,
    /// It carries none.
    Unsigned,
    /// It carries one that does not hold, and why.
    Forged(&'static str),
    /// We have no secret to check with.
    Unchecked,
}

impl Origin {
    /// As it is shown.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Unsigned => "UNSIGNED",
            Self::Forged(_) => "BAD SIGNATURE",
            Self::Unchecked => "unchecked",
        }
    }

    /// Why it is not verified, where there is more to say.
    pub(crate) fn reason(self) -> Option<&'static str> {
        match self {
            Self::Forged(why) => Some(why),
            Self::Unchecked => Some("no secret given"),
            Self::Verified | Self::Unsigned => None,
        }
    }
}

/// Checks DECNET's signature and that of Standard Webhooks; each that is there must hold.
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
        return Origin::Forged("X-DECNET-Signature does not fit the body and the secret");
    }
    if !standard.is_empty() {
        return standard_origin(header, standard, body, key, now);
    }
    Origin::Verified
}

fn standard_origin<'h>(
    header: impl Fn(&'static str) -> &'h str,
    signatures: &str,
    body: &[u8],
    key: &SigningKey,
    now: UnixMicros,
) -> Origin {
    let Ok(timestamp) = header("webhook-timestamp").parse::<i64>() else {
        return Origin::Forged("webhook-timestamp is missing or no number");
    };
    if !key.verify_standard(header("webhook-id"), timestamp, body, signatures) {
        return Origin::Forged("webhook-signature does not fit id, timestamp, body and secret");
    }
    if timestamp.abs_diff(now.as_seconds()) > TOLERANCE.as_secs() {
        return Origin::Forged(
            "webhook-timestamp is more than 5 minutes off: a replay, or a clock that is wrong",
        );
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

    fn judged(headers: &[(&'static str, String)]) -> Origin {
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
    fn either_signature_proves_the_origin() {
        assert_eq!(judged(&[("x-decnet-signature", key().decnet(BODY))]), Origin::Verified);
        assert_eq!(judged(&standard(NOW.as_seconds() + 299)), Origin::Verified);
    }

    #[test]
    fn no_signature_a_wrong_one_and_an_old_one_are_told_apart() {
        assert_eq!(judged(&[]), Origin::Unsigned);
        assert_eq!(origin(|_| "", BODY, None, NOW), Origin::Unchecked);
        let wrong = judged(&[("x-decnet-signature", key().decnet(b"else"))]);
        let old = judged(&standard(NOW.as_seconds() - 301));
        let unstamped = judged(&[("webhook-signature", "v1,AAAA".into())]);
        let mut one_of_two_wrong = standard(NOW.as_seconds()).to_vec();
        one_of_two_wrong.push(("x-decnet-signature", "sha256=00".into()));
        for origin in [wrong, old, unstamped, judged(&one_of_two_wrong)] {
            assert!(matches!(origin, Origin::Forged(_)), "{origin:?}");
        }
        assert!(old.reason().unwrap().contains("replay"));
    }
}
