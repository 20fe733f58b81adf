//! Verification of the signatures and the timestamp of a request.

use std::time::Duration;

use decnet_core::signature::SigningKey;
use decnet_core::time::UnixMicros;

use super::public_key::PublicKey;

/// The maximum difference between a timestamp and the clock before a request counts as replayed, as in the Standard
/// Webhooks libraries.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// The keys with which signatures are checked. Without a key nothing is checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys {
    /// The key of the symmetric signatures.
    pub(crate) signing: Option<SigningKey>,
    /// The key of the asymmetric signature.
    pub(crate) public: Option<PublicKey>,
}

/// The result of the signature check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Every signature for which there is a key is valid, and the timestamp is recent.
    Verified,
    /// The request has no signature for which there is a key.
    Unsigned,
    /// A signature or the timestamp is invalid, with the reason.
    Forged(&'static str),
    /// There is no key to check with.
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
            Self::Unchecked => Some("no secret or public key given"),
            Self::Verified | Self::Unsigned => None,
        }
    }
}

/// Checks DECNET's signature and those of Standard Webhooks. With a secret, each symmetric signature that is present must be valid.
/// With a public key, a valid asymmetric signature is required.
pub(crate) fn origin<'h>(
    header: impl Fn(&'static str) -> &'h str,
    body: &[u8],
    keys: &Keys,
    now: UnixMicros,
) -> Origin {
    if keys.signing.is_none() && keys.public.is_none() {
        return Origin::Unchecked;
    }
    let (decnet, standard) = (header("x-decnet-signature"), header("webhook-signature"));
    if standard.is_empty() && (decnet.is_empty() || keys.public.is_some()) {
        return Origin::Unsigned;
    }
    let is_forged = |key: &SigningKey| !decnet.is_empty() && !key.verify_decnet(body, decnet);
    if keys.signing.as_ref().is_some_and(is_forged) {
        return Origin::Forged("X-DECNET-Signature does not match the body and the secret");
    }
    if standard.is_empty() {
        return Origin::Verified;
    }
    let Ok(timestamp) = header("webhook-timestamp").parse::<i64>() else {
        return Origin::Forged("webhook-timestamp is missing or not a number");
    };
    let id = header("webhook-id");
    if keys.signing.as_ref().is_some_and(|key| !key.verify_standard(id, timestamp, body, standard)) {
        return Origin::Forged("webhook-signature does not match id, timestamp, body and secret");
    }
    if keys.public.is_some_and(|key| !key.verify(id, timestamp, body, standard)) {
        return Origin::Forged(
            "webhook-signature has no v1a signature that matches id, timestamp, body and public key",
        );
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
        origin(header, BODY, &Keys { signing: Some(key()), public: None }, NOW)
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
        assert_eq!(origin(|_| "", BODY, &Keys::default(), NOW), Origin::Unchecked);
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
