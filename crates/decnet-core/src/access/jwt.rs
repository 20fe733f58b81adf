//! The session tokens of DECNET's dashboard: JSON Web Tokens (RFC 7519) under HS256 (RFC 7515, RFC 7518).
//!
//! One algorithm, named in full; a header that says anything else (another algorithm, a key, a critical
//! extension) is refused before anything is computed, and no claim is read before the signature was checked
//! (RFC 8725).

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
/// Parts of secrets that examples and defaults have, in lower case.
const PLACEHOLDERS: [&str; 9] = [
    "change-me",
    "change_me",
    "changeme",
    "example",
    "fallback",
    "password",
    "placeholder",
    "your-secret",
    "your_secret",
];

/// The secret that DECNET's API and ours share, ready to verify with.
#[derive(Clone)]
pub struct JwtKey(Hmac<Sha256>);

/// A key that could be guessed: HS256 wants as many bytes as its hash has (RFC 7518 section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("has fewer than {MIN_JWT_SECRET_CHARS} characters")]
pub struct WeakJwtKey;

/// What makes a secret guessable although it is long enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwtWeakness {
    /// Fewer than [`MIN_JWT_SECRET_SYMBOLS`] different characters.
    #[error("has fewer than {MIN_JWT_SECRET_SYMBOLS} different characters")]
    FewSymbols,
    /// A shorter text, written several times.
    #[error("repeats a shorter text")]
    Repetition,
    /// Characters in the order of the alphabet, the digits or a row of one character.
    #[error("is a run of neighbouring characters")]
    Run,
    /// An example's or a default's text.
    #[error("looks like the placeholder of an example")]
    Placeholder,
}

/// Why a token is refused. For logs: the caller hears only that it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwtProblem {
    /// Not three parts of base64url, or too long.
    #[error("no JSON Web Token")]
    Form,
    /// Another algorithm, or a header that asks for anything more.
    #[error("a header other than that of HS256")]
    Header,
    /// Signed with another key, or changed since.
    #[error("a signature that does not fit")]
    Signature,
    /// A claim is missing, of the wrong type, or not meant for us.
    #[error("claims that are missing or meant for somebody else")]
    Claims,
    /// Too late.
    #[error("expired")]
    Expired,
    /// Too early: somebody's clock is wrong.
    #[error("issued in the future")]
    Early,
}

/// What a verified token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Whose session it is: a key of DECNET's table of users.
    pub user: String,
    /// By what it can be revoked.
    pub id: String,
    /// When it was issued, in seconds since the epoch.
    pub issued_at: i64,
    /// The role, where the token itself names one; DECNET's own tokens do not.
    pub role: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: Option<String>,
}

/// Members that serde sees twice are refused; others than these may be there.
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
    /// Takes a secret over.
    ///
    /// # Errors
    /// One that is too short.
    pub fn new(secret: &Secret) -> Result<Self, WeakJwtKey> {
        if secret.expose().chars().count() < MIN_JWT_SECRET_CHARS {
            return Err(WeakJwtKey);
        }
        let key = Hmac::new_from_slice(secret.expose().as_bytes());
        Ok(Self(key.expect("HMAC takes a key of any length")))
    }

    /// Returns what makes a secret guessable, if anything obvious does. A secret without it may still be weak.
    #[must_use]
    pub fn weakness(secret: &Secret) -> Option<JwtWeakness> {
        let text = secret.expose();
        let symbols: BTreeSet<char> = text.chars().collect();
        let lower = text.to_lowercase();
        if symbols.len() < MIN_JWT_SECRET_SYMBOLS {
            Some(JwtWeakness::FewSymbols)
        } else if is_repetition(text.as_bytes()) {
            Some(JwtWeakness::Repetition)
        } else if is_run(text) {
            Some(JwtWeakness::Run)
        } else if PLACEHOLDERS.iter().any(|part| lower.contains(part)) {
            Some(JwtWeakness::Placeholder)
        } else {
            None
        }
    }

    /// Verifies a token at a moment.
    ///
    /// # Errors
    /// The first [`JwtProblem`]; in an order that tells nobody without the key anything of the claims.
    pub fn verify(&self, token: &str, now: UnixMicros) -> Result<Claims, JwtProblem> {
        if token.len() > MAX_JWT_BYTES {
            return Err(JwtProblem::Form);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(JwtProblem::Form)?;
        let (header, claims) = signed.split_once('.').ok_or(JwtProblem::Form)?;
        check_header(&part(header)?)?;
        let mac = self.0.clone().chain_update(signed);
        mac.verify_slice(&part(signature)?).map_err(|_| JwtProblem::Signature)?;
        let claims: RawClaims = serde_json::from_slice(&part(claims)?).map_err(|_| JwtProblem::Claims)?;
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
        let is_ours = self.iss == ISSUER && self.typ == TYPE && names(&self.aud, AUDIENCE);
        if !is_ours || !is_id(&self.uuid) || !is_id(&self.jti) {
            return Err(JwtProblem::Claims);
        }
        let now = now.as_seconds_f64();
        let latest = now + JWT_CLOCK_SKEW.as_secs_f64();
        // No grace here, as with DECNET: what has expired there has expired here.
        if self.exp <= now {
            return Err(JwtProblem::Expired);
        }
        if self.iat > latest || self.nbf.is_some_and(|nbf| nbf > latest) {
            return Err(JwtProblem::Early);
        }
        #[expect(clippy::cast_possible_truncation, reason = "saturates; and it is not in the future")]
        let issued_at = self.iat.floor() as i64;
        Ok(Claims { user: self.uuid, id: self.jti, issued_at, role: self.role })
    }
}

fn check_header(json: &[u8]) -> Result<(), JwtProblem> {
    let header: Header = serde_json::from_slice(json).map_err(|_| JwtProblem::Header)?;
    let is_jwt = header.typ.is_none_or(|typ| typ.eq_ignore_ascii_case("JWT"));
    if header.alg == "HS256" && is_jwt { Ok(()) } else { Err(JwtProblem::Header) }
}

/// Whether a text is a shorter one written at least twice, the last time perhaps cut short.
fn is_repetition(text: &[u8]) -> bool {
    (1..=text.len() / 2).any(|period| text[period..] == text[..text.len() - period])
}

/// Whether most characters are next to the one before them in the order of Unicode, as in `abcd` or `4321`.
fn is_run(text: &str) -> bool {
    let codes: Vec<u32> = text.chars().map(u32::from).collect();
    let near = codes.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) <= 1).count();
    near * 2 > codes.len()
}

fn part(text: &str) -> Result<Vec<u8>, JwtProblem> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| JwtProblem::Form)
}

/// An audience is a text or a list of them (RFC 7519 section 4.1.3).
fn names(aud: &Value, wanted: &str) -> bool {
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

    fn verdict(claims: &Value) -> Result<Claims, JwtProblem> {
        key().verify(&sign(HEADER, &claims.to_string()), NOW)
    }

    #[test]
    fn guessable_secrets_are_recognised() {
        let weakness = |text: &str| JwtKey::weakness(&Secret::new(text));
        for (text, expected) in [
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", JwtWeakness::FewSymbols),
            ("abababababababababababababababababab", JwtWeakness::FewSymbols),
            (SECRET, JwtWeakness::Repetition),
            ("correct horse correct horse correct", JwtWeakness::Repetition),
            ("abcdefghijklmnopqrstuvwxyz012345", JwtWeakness::Run),
            ("fallback-secret-key-Change-Me-really", JwtWeakness::Placeholder),
            ("this-is-an-EXAMPLE-secret-of-DECNET", JwtWeakness::Placeholder),
        ] {
            assert_eq!(weakness(text), Some(expected), "{text}");
        }
        for text in ["6f1ed002ab5595859014ebf0951522d9", "b4cnN2ogJLNpAWlL8lqXDKsW3J7Em_rqHg8Nju_f0hE"] {
            assert_eq!(weakness(text), None, "{text}");
        }
    }

    /// RFC 7515 appendix A.1: the signature, over a header with spaces, with the published key.
    #[test]
    fn the_published_example_has_a_signature_that_fits() {
        let octets = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let key = JwtKey(Hmac::new_from_slice(&part(octets).unwrap()).unwrap());
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
                     eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
                     dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        // Its claims are none of DECNET's, which are looked at only after the signature.
        assert_eq!(key.verify(token, NOW), Err(JwtProblem::Claims));
        assert_eq!(self::key().verify(token, NOW), Err(JwtProblem::Signature));
    }

    #[test]
    fn what_decnet_issues_is_accepted() {
        let expected = Claims { user: "u-1".into(), id: "j-1".into(), issued_at: 1_799_999_000, role: None };
        assert_eq!(verdict(&claims()), Ok(expected));
    }

    #[test]
    fn every_claim_is_required_and_must_be_meant_for_us() {
        for name in ["uuid", "exp", "iat", "iss", "aud", "typ", "jti"] {
            let mut missing = claims();
            missing.as_object_mut().unwrap().remove(name);
            assert_eq!(verdict(&missing), Err(JwtProblem::Claims), "without {name}");
            for other in [json!(null), json!(""), json!({}), json!("somebody-else")] {
                let mut wrong = claims();
                wrong[name] = other.clone();
                // Any other text is somebody's id.
                if matches!(name, "uuid" | "jti") && other == "somebody-else" {
                    continue;
                }
                assert_eq!(verdict(&wrong), Err(JwtProblem::Claims), "{name}: {other}");
            }
        }
        let mut several = claims();
        several["aud"] = json!(["other", "decnet-dashboard"]);
        assert!(verdict(&several).is_ok());
    }

    #[test]
    fn times_are_kept() {
        let with = |name: &str, at: i64| {
            let mut claims = claims();
            claims[name] = at.into();
            verdict(&claims).map(|_| ())
        };
        assert_eq!(with("exp", 1_800_000_000), Err(JwtProblem::Expired));
        assert_eq!(with("exp", 1_800_000_001), Ok(()));
        assert_eq!(with("iat", 1_800_000_000 + JWT_CLOCK_SKEW.as_secs() as i64), Ok(()));
        assert_eq!(with("iat", 1_800_000_001 + JWT_CLOCK_SKEW.as_secs() as i64), Err(JwtProblem::Early));
        assert_eq!(with("nbf", 1_800_001_000), Err(JwtProblem::Early));
    }

    #[test]
    fn no_header_but_that_of_hs256_is_taken() {
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
    fn claims_that_are_said_twice_are_refused() {
        let twice = claims().to_string().replacen('{', r#"{"uuid":"u-2","#, 1);
        assert_eq!(key().verify(&sign(HEADER, &twice), NOW), Err(JwtProblem::Claims));
    }

    #[test]
    fn an_unsigned_or_shortened_or_changed_token_is_refused() {
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
    fn a_short_secret_is_no_key() {
        assert!(JwtKey::new(&Secret::new(&SECRET[1..])).is_err());
        assert!(!format!("{:?}", key()).contains("0123"));
    }

    proptest! {
        #[test]
        fn a_changed_byte_never_passes(at in 0usize..200, to in "[A-Za-z0-9._-]") {
            let good = sign(HEADER, &claims().to_string());
            let at = at % good.len();
            let changed = format!("{}{to}{}", &good[..at], &good[at + 1..]);
            prop_assume!(changed != good);
            prop_assert!(key().verify(&changed, NOW).is_err());
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            prop_assert!(key().verify(&text, NOW).is_err());
        }
    }
}
