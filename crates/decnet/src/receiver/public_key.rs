//! The public key of asymmetric signatures.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};

/// The prefix of a public key (Standard Webhooks 1.0, "Signature scheme").
const PREFIX: &str = "whpk_";
/// The prefix of an asymmetric signature in `webhook-signature`.
const SIGNATURE_PREFIX: &str = "v1a,";
/// The length of an Ed25519 public key (RFC 8032, section 5.1.5).
const KEY_BYTES: usize = 32;

/// A public key for asymmetric signatures: `whpk_` and an Ed25519 key in base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PublicKey([u8; KEY_BYTES]);

impl PublicKey {
    /// Returns whether a value of `webhook-signature`, a list separated by spaces, has a valid asymmetric signature of
    /// `id.timestamp.body`. `timestamp` is in seconds since 1970.
    pub(crate) fn verify(&self, id: &str, timestamp: i64, body: &[u8], signatures: &str) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, self.0);
        let content = [id.as_bytes(), timestamp.to_string().as_bytes(), body].join(&b'.');
        let mut given =
            signatures.split(' ').filter_map(|signature| signature.strip_prefix(SIGNATURE_PREFIX));
        given.any(|signature| {
            STANDARD.decode(signature).is_ok_and(|signature| key.verify(&content, &signature).is_ok())
        })
    }
}

impl FromStr for PublicKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let decoded = text.strip_prefix(PREFIX).and_then(|key| STANDARD.decode(key).ok());
        let key = decoded.and_then(|bytes| bytes.try_into().ok());
        key.map(Self).ok_or_else(|| format!("must be `{PREFIX}` and {KEY_BYTES} bytes in base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";

    /// The example of the Standard Webhooks specification, whose inputs are those of the test in the Svix server.
    #[test]
    fn published_example_is_verified() {
        let key: PublicKey = KEY.parse().unwrap();
        let (id, at, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        let signature =
            "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==";
        assert!(key.verify(id, at, body, &format!("v1,AAAA v1a,AAAA {signature}")));
        assert!(!key.verify(id, at + 1, body, signature));
        assert!(!key.verify(id, at, body, &signature.replace("v1a,", "v1,")));
    }

    #[test]
    fn malformed_keys_are_rejected() {
        for bad in ["", "whpk_", "whpk_AAAA", &KEY.replace("whpk_", "whsk_"), &format!("{KEY}\n")] {
            let error = bad.parse::<PublicKey>().unwrap_err();
            assert_eq!(error, "must be `whpk_` and 32 bytes in base64", "{bad}");
        }
    }
}
