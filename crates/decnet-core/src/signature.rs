//! Signatures of request bodies: the DECNET signature and the Standard Webhooks 1.0 signature.

use base64::Engine as _;
use base64::alphabet::{self, Alphabet};
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::redact::Secret;
use crate::time::UnixMicros;

/// The prefix of a base64 secret (Standard Webhooks, "Signature scheme").
pub(crate) const BASE64_PREFIX: &str = "whsec_";
const DECNET_PREFIX: &str = "sha256=";
const STANDARD_PREFIX: &str = "v1,";

type HmacSha256 = Hmac<Sha256>;

/// A secret that is ready to sign: both HMAC keys are set up once instead of once per request.
#[derive(Clone)]
pub struct SigningKey {
    decnet: HmacSha256,
    standard: HmacSha256,
}

impl SigningKey {
    /// Prepares a secret. Its UTF-8 bytes are DECNET's key. For Standard Webhooks a `whsec_` secret is decoded from base64;
    /// any other secret, or a secret that is not valid base64, is used unchanged.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        let text = secret.expose();
        let decoded =
            text.strip_prefix(BASE64_PREFIX).and_then(|rest| lenient(&alphabet::STANDARD).decode(rest).ok());
        let standard = decoded.as_deref().unwrap_or(text.as_bytes());
        Self { decnet: hmac(text.as_bytes()), standard: hmac(standard) }
    }

    /// Returns the value of `X-DECNET-Signature`: `sha256=` and the HMAC-SHA256 of the body in hex.
    #[must_use]
    pub fn decnet(&self, body: &[u8]) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digest = self.decnet.clone().chain_update(body).finalize().into_bytes();
        let mut text = String::with_capacity(DECNET_PREFIX.len() + 2 * digest.len());
        text.push_str(DECNET_PREFIX);
        for byte in digest {
            text.push(DIGITS[usize::from(byte >> 4)].into());
            text.push(DIGITS[usize::from(byte & 15)].into());
        }
        text
    }

    /// Returns the value of `webhook-signature`: `v1,` and the base64 of the HMAC-SHA256 of `id.timestamp.body`. `timestamp` is
    /// in seconds since 1970.
    #[must_use]
    pub fn standard(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let digest = self.standard_mac(id, timestamp, body).finalize().into_bytes();
        let mut text = String::with_capacity(48);
        text.push_str(STANDARD_PREFIX);
        STANDARD.encode_string(digest, &mut text);
        text
    }

    /// Returns whether a value of `X-DECNET-Signature` is valid, in constant time.
    #[must_use]
    pub fn verify_decnet(&self, body: &[u8], signature: &str) -> bool {
        let expected = self.decnet(body);
        subtle::ConstantTimeEq::ct_eq(expected.as_bytes(), signature.as_bytes()).into()
    }

    /// Returns whether a value of `webhook-signature`, a list separated by spaces, has a valid signature, in constant time.
    #[must_use]
    pub fn verify_standard(&self, id: &str, timestamp: i64, body: &[u8], signatures: &str) -> bool {
        let mac = self.standard_mac(id, timestamp, body);
        signatures.split(' ').filter_map(|signature| signature.strip_prefix(STANDARD_PREFIX)).any(
            |signature| {
                STANDARD.decode(signature).is_ok_and(|digest| mac.clone().verify_slice(&digest).is_ok())
            },
        )
    }

    fn standard_mac(&self, id: &str, timestamp: i64, body: &[u8]) -> HmacSha256 {
        let mac = self.standard.clone().chain_update(id).chain_update(b".");
        mac.chain_update(timestamp.to_string()).chain_update(b".").chain_update(body)
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[signing key]")
    }
}

fn hmac(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// Returns a base64 decoder that accepts missing padding.
pub(crate) fn lenient(alphabet: &Alphabet) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(alphabet, config)
}

/// A replaced secret with which requests are still signed, in addition to its successor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldSecret {
    /// The replaced secret.
    pub secret: Secret,
    /// The time until which requests are also signed with it.
    pub until: UnixMicros,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in the tests of the Standard Webhooks libraries.
    #[test]
    fn standard_signature_matches_the_published_example() {
        let key = SigningKey::new(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
        let (id, at, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(key.standard(id, at, body), expected);
        assert!(key.verify_standard(id, at, body, expected));
        assert!(key.verify_standard(id, at, body, &format!("v1a,AAAA {expected}")));
        assert!(!key.verify_standard(id, at + 1, body, expected));
        assert!(!key.verify_standard(id, at, body, "v1,AAAA"));
    }

    /// RFC 4231, section 4.3 (test case 2).
    #[test]
    fn decnet_signature_is_hex_hmac_sha256() {
        let key = SigningKey::new(&Secret::new("Jefe"));
        let body = b"what do ya want for nothing?";
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(key.decnet(body), expected);
        assert!(key.verify_decnet(body, expected));
        assert!(!key.verify_decnet(b"else", expected));
    }

    #[test]
    fn secrets_without_valid_base64_are_used_unchanged() {
        let plain = SigningKey::new(&Secret::new("not base64 at all"));
        let broken = SigningKey::new(&Secret::new("whsec_%%%"));
        assert!(plain.standard("i", 1, b"x").starts_with("v1,"));
        assert!(broken.verify_standard("i", 1, b"x", &broken.standard("i", 1, b"x")));
    }
}
