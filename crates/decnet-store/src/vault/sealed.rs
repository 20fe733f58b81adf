//! The text form of an encrypted value: `enc:v1:KEY:DATA`, with the id of the key, and the nonce and the ciphertext in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::aead::NONCE_LEN;

use super::Locked;

/// The beginning of every encrypted value. Other values are JSON, which does not begin with a letter `e`.
const MARK: &str = "enc:";
/// The beginning of this version's values.
const PREFIX: &str = "enc:v1:";
/// The table of the encrypted values.
const TABLE: &str = "decnet_webhook_settings";

/// The place of a value, to which it is bound.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) column: &'static str,
    /// The UUID of the row.
    pub(crate) row: &'a str,
}

/// An encrypted value.
#[derive(Debug)]
pub(crate) struct Sealed<'a> {
    pub(crate) key_id: &'a str,
    pub(super) nonce: [u8; NONCE_LEN],
    /// The ciphertext and its tag.
    pub(super) data: Vec<u8>,
}

impl Place<'_> {
    /// Returns the associated data: format, table, column, row and key. None of the parts before the row contains a NUL byte.
    pub(super) fn associated_data(self, key_id: &str) -> Vec<u8> {
        [PREFIX, key_id, TABLE, self.column, self.row].join("\0").into_bytes()
    }
}

impl<'a> Sealed<'a> {
    /// Parses the text form; `None` if the text is not an encrypted value.
    ///
    /// # Errors
    /// A newer version has encrypted the value, or it is damaged.
    pub(crate) fn parse(text: &'a str) -> Option<Result<Self, Locked>> {
        text.starts_with(MARK).then(|| {
            let rest =
                text.strip_prefix(PREFIX).ok_or("is encrypted in an unknown form; use a newer decnet")?;
            Self::decode(rest).ok_or_else(|| "is a damaged encrypted value; set the value again".into())
        })
    }

    fn decode(rest: &'a str) -> Option<Self> {
        let (key_id, encoded) = rest.split_once(':')?;
        let bytes = STANDARD_NO_PAD.decode(encoded).ok()?;
        let (nonce, data) = bytes.split_first_chunk::<NONCE_LEN>()?;
        Some(Self { key_id, nonce: *nonce, data: data.to_vec() })
    }

    /// Returns the text form.
    pub(super) fn format(key_id: &str, nonce: &[u8; NONCE_LEN], data: &[u8]) -> String {
        format!("{PREFIX}{key_id}:{}", STANDARD_NO_PAD.encode([nonce, data].concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_encrypted_values_are_parsed() {
        for plain in ["", "{}", "[]", "hunter2", "ENC:v1:a:b"] {
            assert!(Sealed::parse(plain).is_none(), "{plain}");
        }
        for bad in
            ["enc:", "enc:v1:", "enc:v1:1a2b3c4d", "enc:v1:1a2b3c4d:AAAA", "enc:v1:1a2b3c4d:!", "enc:v2:x"]
        {
            assert!(Sealed::parse(bad).unwrap().is_err(), "{bad}");
        }
        let text = Sealed::format("1a2b3c4d", &[7; NONCE_LEN], b"data");
        let sealed = Sealed::parse(&text).unwrap().unwrap();
        assert_eq!((sealed.key_id, sealed.nonce, &*sealed.data), ("1a2b3c4d", [7; NONCE_LEN], &b"data"[..]));
    }
}
