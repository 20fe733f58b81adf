//! Generation of secrets.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Random bytes of a secret: the output size of SHA-256, as RFC 2104 section 3 recommends for HMAC.
const SECRET_BYTES: usize = 32;

/// Returns a new random secret: 43 characters that need no quoting in URLs, shells or files.
#[must_use]
pub fn generate_secret() -> String {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).expect("the operating system provides random bytes");
    URL_SAFE_NO_PAD.encode(bytes)
}
