//! Secrets that we choose ourselves.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Random bytes in a secret: as many as HMAC-SHA256 can make use of.
const SECRET_BYTES: usize = 32;

/// A new secret, 43 characters that stand in any URL, shell or file as they are.
#[must_use]
pub fn generate_secret() -> String {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).expect("every system that we run on has a source of random bytes");
    URL_SAFE_NO_PAD.encode(bytes)
}
