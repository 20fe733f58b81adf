//! API tokens: `dcn_`, a public id, `_`, and a secret of which only the digest is stored.
//!
//! The prefix makes a leaked token recognisable to scanners. A token has no checksum, so that a guess cannot be tested offline.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::limits::MAX_NAME_CHARS;

const PREFIX: &str = "dcn_";
const LINK_PREFIX: &str = "dcl_";
const ID_BYTES: usize = 8;
const ID_CHARS: usize = 2 * ID_BYTES;
const SECRET_CHARS: usize = 43;
const TOKEN_CHARS: usize = PREFIX.len() + ID_CHARS + 1 + SECRET_CHARS;

/// The number of random bytes in the secret of a token.
pub const SECRET_BYTES: usize = 32;
/// The number of random bytes in a new token.
pub const RANDOM_BYTES: usize = ID_BYTES + SECRET_BYTES;

/// A complete token. Its `Debug` output does not contain the secret.
#[derive(Clone)]
pub struct ApiToken {
    id: String,
    secret: [u8; SECRET_BYTES],
}

/// The stored form of a token's secret: its SHA-256. The secret has 256 random bits, so a slow hash is not needed.
#[derive(Clone, Copy)]
pub struct TokenDigest([u8; 32]);

impl ApiToken {
    /// Creates a token from random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; RANDOM_BYTES]) -> Self {
        let mut secret = [0; SECRET_BYTES];
        secret.copy_from_slice(&bytes[ID_BYTES..]);
        Self { id: bytes[..ID_BYTES].iter().map(|byte| format!("{byte:02x}")).collect(), secret }
    }

    /// Parses a token. Returns `None` if the text is not well-formed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != TOKEN_CHARS {
            return None;
        }
        let (id, secret) = text.strip_prefix(PREFIX)?.split_at_checked(ID_CHARS)?;
        if !id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        let secret = URL_SAFE_NO_PAD.decode(secret.strip_prefix('_')?).ok()?;
        Some(Self { id: id.to_owned(), secret: secret.try_into().ok()? })
    }

    /// Returns whether a text begins like an API token, well-formed or not.
    #[must_use]
    pub fn has_prefix(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// Returns the id, which is not secret.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the token with its secret, for its owner only.
    #[must_use]
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}_{}", self.id, URL_SAFE_NO_PAD.encode(self.secret))
    }

    /// Returns the token with its secret as the code of a one-time login link, which the API does not accept as a token.
    #[must_use]
    pub fn expose_as_link_code(&self) -> String {
        self.expose().replacen(PREFIX, LINK_PREFIX, 1)
    }

    /// Parses the code of a login link. Returns `None` if the text is not well-formed.
    #[must_use]
    pub fn parse_link_code(text: &str) -> Option<Self> {
        Self::parse(&format!("{PREFIX}{}", text.strip_prefix(LINK_PREFIX)?))
    }

    /// Returns whether a text begins like the code of a login link, well-formed or not.
    #[must_use]
    pub fn has_link_prefix(text: &str) -> bool {
        text.starts_with(LINK_PREFIX)
    }

    /// Returns a token with the same id and a new secret.
    #[must_use]
    pub fn with_secret(&self, secret: [u8; SECRET_BYTES]) -> Self {
        Self { id: self.id.clone(), secret }
    }

    /// Returns the digest of the secret, for storage.
    #[must_use]
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::of(&self.secret)
    }
}

impl fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiToken").field("id", &self.id).finish_non_exhaustive()
    }
}

impl TokenDigest {
    /// Computes the digest of a secret.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Restores a stored digest. Returns `None` unless there are 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Returns the bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns whether both digests are equal, in constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[digest]")
    }
}

/// Validates the name of a token: 1 to [`MAX_NAME_CHARS`] ASCII letters, digits, `.`, `_` or `-`.
///
/// # Errors
/// A message with these requirements.
pub fn check_token_name(name: &str) -> Result<(), String> {
    let has_valid_length = (1..=MAX_NAME_CHARS).contains(&name.chars().count());
    let has_valid_chars = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if has_valid_length && has_valid_chars {
        return Ok(());
    }
    Err(format!("a token's name must have 1 to {MAX_NAME_CHARS} letters, digits, `.`, `_` or `-`"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn debug_output_has_the_id_but_not_the_secret() {
        let token = ApiToken::from_random([0xa5; RANDOM_BYTES]);
        let (text, debug) = (token.expose(), format!("{token:?} {:?}", token.digest()));
        assert!(text.starts_with("dcn_a5a5a5a5a5a5a5a5_") && text.len() == TOKEN_CHARS, "{text}");
        assert!(debug.contains("a5a5a5a5a5a5a5a5") && !debug.contains(&text[21..]), "{debug}");
    }

    #[test]
    fn malformed_tokens_are_rejected() {
        let text = ApiToken::from_random([7; RANDOM_BYTES]).expose();
        let broken = [
            String::new(),
            "dcn_".into(),
            text[..text.len() - 1].into(),
            format!("{text}x"),
            text.replace("dcn_", "dcx_"),
            text.replacen("0707", "07ZZ", 1),
            text.replacen("0707", "0ä7", 1),
            format!("{}!", &text[..text.len() - 1]),
        ];
        for text in broken {
            assert!(ApiToken::parse(&text).is_none(), "{text}");
        }
    }

    #[test]
    fn link_code_is_not_a_token() {
        let token = ApiToken::from_random([7; RANDOM_BYTES]);
        let code = token.expose_as_link_code();
        assert!(ApiToken::has_link_prefix(&code) && !ApiToken::has_prefix(&code));
        assert!(ApiToken::parse(&code).is_none() && ApiToken::parse_link_code(&token.expose()).is_none());
        let read = ApiToken::parse_link_code(&code).unwrap();
        assert!(read.digest().matches(&token.digest()));
        let renewed = read.with_secret([8; SECRET_BYTES]);
        assert!(renewed.id() == token.id() && !renewed.digest().matches(&token.digest()));
    }

    #[test]
    fn names_need_no_quotes_in_a_shell() {
        for good in ["ci", "a.b_c-d", &"x".repeat(64)] {
            assert_eq!(check_token_name(good), Ok(()));
        }
        for bad in ["", "a b", "ä", "a\n", &"x".repeat(65)] {
            assert!(check_token_name(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn exposed_tokens_parse_to_the_same_token(bytes in proptest::array::uniform32(any::<u8>()), id in any::<[u8; 8]>()) {
            let mut random = [0; RANDOM_BYTES];
            random[..8].copy_from_slice(&id);
            random[8..].copy_from_slice(&bytes);
            let token = ApiToken::from_random(random);
            let read = ApiToken::parse(&token.expose()).expect("a valid token");
            prop_assert_eq!(read.id(), token.id());
            prop_assert!(read.digest().matches(&token.digest()));
        }

        #[test]
        fn parse_never_panics(text in "\\PC*") {
            prop_assert!(ApiToken::parse(&text).is_none());
        }
    }
}
