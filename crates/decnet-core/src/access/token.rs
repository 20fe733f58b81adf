//! An API token: `dcn_`, a public id by which it is found, `_`, and a secret of which only the digest is kept.
//!
//! The prefix makes a leaked token recognisable to scanners. There is no checksum: nothing that a guess could be
//! tested with before it reaches us.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::limits::MAX_NAME_CHARS;

const PREFIX: &str = "dcn_";
const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;
const ID_CHARS: usize = 2 * ID_BYTES;
const SECRET_CHARS: usize = 43;
const TOKEN_CHARS: usize = PREFIX.len() + ID_CHARS + 1 + SECRET_CHARS;

/// Random bytes that a new token is made of.
pub const RANDOM_BYTES: usize = ID_BYTES + SECRET_BYTES;

/// A whole token. Never shows its secret.
#[derive(Clone)]
pub struct ApiToken {
    id: String,
    secret: [u8; SECRET_BYTES],
}

/// What is kept of a token's secret: its SHA-256. The secret has 256 random bits, so nothing slower is needed.
#[derive(Clone, Copy)]
pub struct TokenDigest([u8; 32]);

impl ApiToken {
    /// A new token of random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; RANDOM_BYTES]) -> Self {
        let mut secret = [0; SECRET_BYTES];
        secret.copy_from_slice(&bytes[ID_BYTES..]);
        Self { id: hex(&bytes[..ID_BYTES]), secret }
    }

    /// Reads a token; nothing for what cannot be one.
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

    /// Does a text look as if it were meant to be a token of ours?
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// By what it is found; not secret.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The text to hand to its owner. Every call is a place to check that it goes nowhere else.
    #[must_use]
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}_{}", self.id, URL_SAFE_NO_PAD.encode(self.secret))
    }

    /// What is kept of it.
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
    /// The digest of any secret bytes.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// A digest as it was kept; nothing for what is none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes to keep.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Are they equal? Takes the same time wherever they differ.
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

/// Checks the name of a token: 1 to [`MAX_NAME_CHARS`] letters, digits, `.`, `_` or `-`.
///
/// # Errors
/// What is wrong with it.
pub fn check_token_name(name: &str) -> Result<(), String> {
    let is_short = (1..=MAX_NAME_CHARS).contains(&name.chars().count());
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if is_short && is_plain {
        return Ok(());
    }
    Err(format!("a token's name has 1 to {MAX_NAME_CHARS} letters, digits, `.`, `_` or `-`"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_shows_its_id_and_not_its_secret() {
        let token = ApiToken::from_random([0xa5; RANDOM_BYTES]);
        let (text, shown) = (token.expose(), format!("{token:?} {:?}", token.digest()));
        assert!(text.starts_with("dcn_a5a5a5a5a5a5a5a5_") && text.len() == TOKEN_CHARS, "{text}");
        assert!(shown.contains("a5a5a5a5a5a5a5a5") && !shown.contains(&text[21..]), "{shown}");
    }

    #[test]
    fn what_is_no_token_is_refused() {
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
    fn names_stand_in_a_shell_as_they_are() {
        for good in ["ci", "a.b_c-d", &"x".repeat(64)] {
            assert_eq!(check_token_name(good), Ok(()));
        }
        for bad in ["", "a b", "ä", "a\n", &"x".repeat(65)] {
            assert!(check_token_name(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_exposed_is_read_back(bytes in proptest::array::uniform32(any::<u8>()), id in any::<[u8; 8]>()) {
            let mut random = [0; RANDOM_BYTES];
            random[..8].copy_from_slice(&id);
            random[8..].copy_from_slice(&bytes);
            let token = ApiToken::from_random(random);
            let read = ApiToken::parse(&token.expose()).expect("a whole token");
            prop_assert_eq!(read.id(), token.id());
            prop_assert!(read.digest().matches(&token.digest()));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            prop_assert!(ApiToken::parse(&text).is_none());
        }
    }
}
