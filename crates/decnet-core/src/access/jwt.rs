//! The session tokens of DECNET's dashboard: JSON Web Tokens (RFC 7519) with HS256 (RFC 7515, RFC 7518).
//!
//! Only HS256 is accepted. A header with anything else (another algorithm, a key, a critical extension) is rejected before
//! the signature is computed. Claims are parsed only after the signature is verified (RFC 8725).

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;

use crate::limits::{
    JWT_CLOCK_SKEW, MAX_JWT_BYTES, MAX_JWT_ID_BYTES, MIN_JWT_SECRET_CHARS, MIN_JWT_SECRET_SYMBOLS,
};
use crate::redact::Secret;
use crate::time::UnixMicros;

const ISSUER: &str = "decnet";
const AUDIENCE: &str = "decnet-dashboard";
const TYPE: &str = "access";
/// Texts that are part of the secrets in examples and defaults, in lower case, with hyphens for underscores.
const PLACEHOLDERS: [&str; 7] =
    ["change-me", "changeme", "example", "fallback", "password", "placeholder", "your-secret"];

/// The secret shared with DECNET's API, ready to verify tokens.
#[derive(Clone)]
pub struct JwtKey(Hmac<Sha256>);

/// A secret that is too short: HS256 requires a key at least as long as its hash (RFC 7518 section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("has fewer than {MIN_JWT_SECRET_CHARS} characters")]
pub struct ShortJwtSecret;

/// The reason why a token is rejected. For logs only: the client does not receive it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwtProblem {
    /// The token does not have three base64url parts, or is too long.
    #[error("not a JSON Web Token")]
    Form,
    /// The header names another algorithm, or has members other than `alg` and `typ`.
    #[error("unsupported header; only HS256 is accepted")]
    Header,
    /// The token was signed with another key, or was modified.
    #[error("invalid signature")]
    Signature,
    /// A claim is missing, has the wrong type, or is for another issuer or audience.
    #[error("missing or unexpected claims")]
    Claims,
    /// The expiry time has passed.
    #[error("expired")]
    Expired,
    /// The time of issue is in the future, or the token is not valid yet: one of the clocks is wrong.
    #[error("issued in the future")]
    Early,
}

/// The claims of a verified token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The user of the session: a key of DECNET's table of users.
    pub user: String,
    /// The id of the token, by which it can be revoked.
    pub id: String,
    /// The time of issue, in seconds since the epoch.
    pub issued_at: i64,
    /// The role, if the token has one; DECNET's own tokens do not.
    pub role: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: Option<String>,
}

/// Repeated members are rejected by serde; unknown members are ignored.
#[derive(Deserialize)]
struct RawClaims {
    exp: f64,
    iat: f64,
    nbf: Option<f64>,
    iss: String,
    aud: Value,
    uuid: String,
    typ: String,
    jti: String,
    role: Option<String>,
}

impl JwtKey {
    /// Creates a key from a secret.
    ///
    /// # Errors
    /// The secret has fewer than [`MIN_JWT_SECRET_CHARS`] characters.
    pub fn new(secret: &Secret) -> Result<Self, ShortJwtSecret> {
        if secret.expose().chars().count() < MIN_JWT_SECRET_CHARS {
            return Err(ShortJwtSecret);
        }
        let key = Hmac::new_from_slice(secret.expose().as_bytes());
        Ok(Self(key.expect("HMAC takes a key of any length")))
    }

    /// Returns an obvious weakness of a secret, as text that follows "the secret". A secret without an
    /// obvious weakness may still be easy to guess.
    #[must_use]
    pub fn weakness(secret: &Secret) -> Option<String> {
        let text = secret.expose();
        let symbols: BTreeSet<char> = text.chars().collect();
        let lower = text.to_lowercase().replace('_', "-");
        if symbols.len() < MIN_JWT_SECRET_SYMBOLS {
            Some(format!("has fewer than {MIN_JWT_SECRET_SYMBOLS} different characters"))
        } else if is_repetition(text.as_bytes()) {
            Some("repeats a shorter text".into())
        } else if is_run(text) {
            Some("is a run of consecutive characters".into())
        } else if PLACEHOLDERS.iter().any(|part| lower.contains(part)) {
            Some("looks like a placeholder from an example".into())
        } else {
            None
        }
    }

    /// Verifies a token at the time `now`.
    ///
    /// # Errors
    /// The first [`JwtProblem`]. Problems with the claims are returned only for a valid signature.
    pub fn verify(&self, token: &str, now: UnixMicros) -> Result<Claims, JwtProblem> {
        if token.len() > MAX_JWT_BYTES {
            return Err(JwtProblem::Form);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(JwtProblem::Form)?;
        let (header, claims) = signed.split_once('.').ok_or(JwtProblem::Form)?;
        check_header(&decode(header)?)?;
        let mac = self.0.clone().chain_update(signed);
        mac.verify_slice(&decode(signature)?).map_err(|_| JwtProblem::Signature)?;
        let claims: RawClaims = serde_json::from_slice(&decode(claims)?).map_err(|_| JwtProblem::Claims)?;
        claims.check(now)
    }
}

impl fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key]")
    }
}

impl RawClaims {
    fn check(self, now: UnixMicros) -> Result<Claims, JwtProblem> {
        let is_dashboard_session =
            self.iss == ISSUER && self.typ == TYPE && has_audience(&self.aud, AUDIENCE);
        if !is_dashboard_session || !is_id(&self.uuid) || !is_id(&self.jti) {
            return Err(JwtProblem::Claims);
        }
        let now = now.as_seconds_f64();
        let latest = now + JWT_CLOCK_SKEW.as_secs_f64();
        // No clock skew is allowed for the expiry, as in DECNET, so that a session ends in both at the same time.
        if self.exp <= now {
            return Err(JwtProblem::Expired);
        }
        if self.iat > latest || self.nbf.is_some_and(|nbf| nbf > latest) {
            return Err(JwtProblem::Early);
        }
        #[expect(clippy::cast_possible_truncation, reason = "saturates, and the time is not in the future")]
        let issued_at = self.iat.floor() as i64;
        Ok(Claims { user: self.uuid, id: self.jti, issued_at, role: self.role })
    }
}

fn check_header(json: &[u8]) -> Result<(), JwtProblem> {
    let header: Header = serde_json::from_slice(json).map_err(|_| JwtProblem::Header)?;
    let is_jwt = header.typ.is_none_or(|typ| typ.eq_ignore_ascii_case("JWT"));
    if header.alg == "HS256" && is_jwt { Ok(()) } else { Err(JwtProblem::Header) }
}

/// Returns whether a text consists of at least two copies of a shorter text, the last of which may be truncated.
fn is_repetition(text: &[u8]) -> bool {
    (1..=text.len() / 2).any(|period| text[period..] == text[..text.len() - period])
}

/// Returns whether most characters equal or follow the previous one in either order of Unicode, as in `abcd` or `4321`.
fn is_run(text: &str) -> bool {
    let codes: Vec<u32> = text.chars().map(u32::from).collect();
    let near = codes.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) <= 1).count();
    near * 2 > codes.len()
}

fn decode(text: &str) -> Result<Vec<u8>, JwtProblem> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| JwtProblem::Form)
}

/// Returns whether an audience, which is a text or a list (RFC 7519 section 4.1.3), includes `wanted`.
fn has_audience(aud: &Value, wanted: &str) -> bool {
    match aud {
        Value::String(one) => one == wanted,
        Value::Array(several) => several.iter().any(|one| one == wanted),
        _ => false,
    }
}

fn is_id(text: &str) -> bool {
    (1..=MAX_JWT_ID_BYTES).contains(&text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NOW: UnixMicros = UnixMicros(1_800_000_000_000_000);
    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn key() -> JwtKey {
        JwtKey::new(&Secret::new(SECRET)).unwrap()
    }

    fn sign(header: &str, claims: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", encode(header), encode(claims));
        let mac = key().0.chain_update(&signed).finalize().into_bytes();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac))
    }

    fn claims() -> Value {
        json!({"uuid": "u-1", "exp": 1_800_000_060, "iat": 1_799_999_000, "iss": "decnet",
               "aud": "decnet-dashboard", "typ": "access", "jti": "j-1"})
    }

    const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

    fn verify(claims: &Value) -> Result<Claims, JwtProblem> {
        key().verify(&sign(HEADER, &claims.to_string()), NOW)
    }

    #[test]
    fn obvious_weaknesses_of_secrets_are_detected() {
        let weakness = |text: &str| JwtKey::weakness(&Secret::new(text));
        for (text, expected) in [
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "has fewer than 8 different characters"),
            ("abababababababababababababababababab", "has fewer than 8 different characters"),
            (SECRET, "repeats a shorter text"),
            ("correct horse correct horse correct", "repeats a shorter text"),
            ("abcdefghijklmnopqrstuvwxyz012345", "is a run of consecutive characters"),
            ("fallback-secret-key-Change-Me-really", "looks like a placeholder from an example"),
            ("this-is-an-EXAMPLE-secret-of-DECNET", "looks like a placeholder from an example"),
        ] {
            assert_eq!(weakness(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["6f1ed002ab5595859014ebf0951522d9", "b4cnN2ogJLNpAWlL8lqXDKsW3J7Em_rqHg8Nju_f0hE"] {
            assert_eq!(weakness(text), None, "{text}");
        }
    }

    /// RFC 7515 appendix A.1, with a header that contains spaces.
    #[test]
    fn signature_of_the_published_example_is_valid() {
        let octets = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let key = JwtKey(Hmac::new_from_slice(&decode(octets).unwrap()).unwrap());
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
                     eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
                     dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        // Its claims are not DECNET's, but they are checked after the signature.
        assert_eq!(key.verify(token, NOW), Err(JwtProblem::Claims));
        assert_eq!(self::key().verify(token, NOW), Err(JwtProblem::Signature));
    }

    #[test]
    fn decnets_tokens_are_accepted() {
        let expected = Claims { user: "u-1".into(), id: "j-1".into(), issued_at: 1_799_999_000, role: None };
        assert_eq!(verify(&claims()), Ok(expected));
    }

    #[test]
    fn every_claim_is_required_and_checked() {
        for name in ["uuid", "exp", "iat", "iss", "aud", "typ", "jti"] {
            let mut missing = claims();
            missing.as_object_mut().unwrap().remove(name);
            assert_eq!(verify(&missing), Err(JwtProblem::Claims), "without {name}");
            for other in [json!(null), json!(""), json!({}), json!("someone-else")] {
                let mut wrong = claims();
                wrong[name] = other.clone();
                // Any other text is a valid id.
                if matches!(name, "uuid" | "jti") && other == "someone-else" {
                    continue;
                }
                assert_eq!(verify(&wrong), Err(JwtProblem::Claims), "{name}: {other}");
            }
        }
        let mut several = claims();
        several["aud"] = json!(["other", "decnet-dashboard"]);
        assert!(verify(&several).is_ok());
    }

    #[test]
    fn expiry_issue_and_not_before_times_are_checked() {
        let with = |name: &str, at: i64| {
            let mut claims = claims();
            claims[name] = at.into();
            verify(&claims).map(|_| ())
        };
        assert_eq!(with("exp", 1_800_000_000), Err(JwtProblem::Expired));
        assert_eq!(with("exp", 1_800_000_001), Ok(()));
        assert_eq!(with("iat", 1_800_000_000 + JWT_CLOCK_SKEW.as_secs() as i64), Ok(()));
        assert_eq!(with("iat", 1_800_000_001 + JWT_CLOCK_SKEW.as_secs() as i64), Err(JwtProblem::Early));
        assert_eq!(with("nbf", 1_800_001_000), Err(JwtProblem::Early));
    }

    #[test]
    fn only_an_hs256_header_is_accepted() {
        let claims = claims().to_string();
        for header in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"None","typ":"JWT"}"#,
            r#"{"alg":"HS512"}"#,
            r#"{"alg":"hs256"}"#,
            r#"{"alg":"RS256","jku":"https://evil.example/"}"#,
            r#"{"alg":"HS256","crit":["exp"],"exp":1}"#,
            r#"{"alg":"HS256","jwk":{}}"#,
            r#"{"alg":"HS256","alg":"none"}"#,
            r#"{"alg":"HS256","typ":"at+jwt"}"#,
            r#"{"typ":"JWT"}"#,
            "[]",
            "",
        ] {
            assert_eq!(key().verify(&sign(header, &claims), NOW), Err(JwtProblem::Header), "{header}");
        }
    }

    #[test]
    fn repeated_claims_are_rejected() {
        let twice = claims().to_string().replacen('{', r#"{"uuid":"u-2","#, 1);
        assert_eq!(key().verify(&sign(HEADER, &twice), NOW), Err(JwtProblem::Claims));
    }

    #[test]
    fn unsigned_truncated_and_extended_tokens_are_rejected() {
        let good = sign(HEADER, &claims().to_string());
        let (signed, signature) = good.rsplit_once('.').unwrap();
        for bad in [
            format!("{signed}."),
            signed.to_owned(),
            format!("{signed}.{}", &signature[..20]),
            format!("{good}="),
            format!("{good}.x"),
            format!(" {good}"),
            "a".repeat(MAX_JWT_BYTES + 1),
            String::new(),
        ] {
            assert!(key().verify(&bad, NOW).is_err(), "{bad}");
        }
    }

    #[test]
    fn short_secrets_are_rejected_and_keys_are_not_printed() {
        assert!(JwtKey::new(&Secret::new(&SECRET[1..])).is_err());
        assert!(!format!("{:?}", key()).contains("0123"));
    }

    proptest! {
        #[test]
        fn changed_byte_invalidates_a_token(at in 0usize..200, to in "[A-Za-z0-9._-]") {
            let good = sign(HEADER, &claims().to_string());
            let at = at % good.len();
            let changed = format!("{}{to}{}", &good[..at], &good[at + 1..]);
            prop_assume!(changed != good);
            prop_assert!(key().verify(&changed, NOW).is_err());
        }

        #[test]
        fn verify_never_panics(text in "\\PC*") {
            prop_assert!(key().verify(&text, NOW).is_err());
        }
    }
}
