//! What proves a body's origin: DECNET's signature and that of Standard Webhooks 1.0.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::redact::Secret;

/// How a secret announces that it is base64 (Standard Webhooks, "Signature scheme").
pub(crate) const BASE64_PREFIX: &str = "whsec_";
const DECNET_PREFIX: &str = "sha256=";
const STANDARD_PREFIX: &str = "v1,";

type HmacSha256 = Hmac<Sha256>;

/// A secret, ready to sign: both keys are expanded once, not once a request.
#[derive(Clone)]
pub struct SigningKey {
    decnet: HmacSha256,
    standard: HmacSha256,
}

impl SigningKey {
    /// Prepares a secret. Its UTF-8 bytes are DECNET's key; for Standard Webhooks a `whsec_` secret is decoded
    /// from base64, any other (or one that does not decode) is used as it is.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        let text = secret.expose();
        let decoded = text.strip_prefix(BASE64_PREFIX).and_then(|rest| lenient().decode(rest).ok());
        let standard = decoded.as_deref().unwrap_or(text.as_bytes());
        Self { decnet: keyed(text.as_bytes()), standard: keyed(standard) }
    }

    /// The value of `X-DECNET-Signature`: `sha256=` and the HMAC-SHA256 of the body in hex.
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

    /// The value of `webhook-signature`: `v1,` and the base64 of the HMAC-SHA256 of `id.timestamp.body`.
    #[must_use]
    pub fn standard(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let digest = self.standard_mac(id, timestamp, body).finalize().into_bytes();
        let mut text = String::with_capacity(48);
        text.push_str(STANDARD_PREFIX);
        STANDARD.encode_string(digest, &mut text);
        text
    }

    /// Checks a value of `X-DECNET-Signature`, in constant time.
    #[must_use]
    pub fn verify_decnet(&self, body: &[u8], signature: &str) -> bool {
        let expected = self.decnet(body);
        subtle::ConstantTimeEq::ct_eq(expected.as_bytes(), signature.as_bytes()).into()
    }

    /// Checks a value of `webhook-signature`, a list separated by spaces of which one must fit, in constant time.
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

fn keyed(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn lenient() -> GeneralPurpose {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&base64::alphabet::STANDARD, config)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that the Standard Webhooks libraries share in their tests.
    #[test]
    fn standard_webhooks_published_vector() {
        let key = SigningKey::new(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
        let (id, at, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(key.standard(id, at, body), expected);
        assert!(key.verify_standard(id, at, body, expected));
        assert!(key.verify_standard(id, at, body, &format!("v1a,AAAA {expected}")));
        assert!(!key.verify_standard(id, at + 1, body, expected));
        assert!(!key.verify_standard(id, at, body, "v1,AAAA"));
    }

    /// RFC 4231 section 4.3 (test case 2).
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
    fn other_secrets_are_used_as_they_are() {
        let plain = SigningKey::new(&Secret::new("not base64 at all"));
        let broken = SigningKey::new(&Secret::new("whsec_%%%"));
        assert!(plain.standard("i", 1, b"x").starts_with("v1,"));
        assert!(broken.verify_standard("i", 1, b"x", &broken.standard("i", 1, b"x")));
    }
}
