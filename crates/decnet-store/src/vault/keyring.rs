//! The keys of a key file.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use decnet_core::limits::MAX_ENCRYPTION_KEYS;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest as _, Sha256};

use super::Locked;
use super::sealed::{Place, Sealed};

/// The length of a key of ChaCha20-Poly1305 (RFC 8439, section 2.8).
const KEY_BYTES: usize = 32;
/// The length of a key's id, in bytes; it identifies one of at most [`MAX_ENCRYPTION_KEYS`] keys.
const ID_BYTES: usize = 4;
/// The prefix of the digest that gives a key's id, so that it is not the digest of anything else.
const ID_CONTEXT: &[u8] = b"decnet webhook key id\0";
/// The minimum number of different bytes of a key. A random key has fewer with a probability below 2^-70.
const MIN_DISTINCT_BYTES: usize = 8;

/// The keys of a key file, at least one. The first encrypts, and all decrypt.
pub struct Keyring(Vec<Key>);

struct Key {
    id: Box<str>,
    key: LessSafeKey,
}

/// The reason why a key file cannot be used. Contains no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// A line is not a key.
    #[error(
        "line {0} is not {KEY_BYTES} random bytes in base64; create a key file with `decnet key create FILE`"
    )]
    Line(usize),
    /// A key is not random.
    #[error("the key on line {0} is not random; create a key file with `decnet key create FILE`")]
    NotRandom(usize),
    /// A key is repeated.
    #[error("the key on line {0} is repeated; remove that line")]
    Repeated(usize),
    /// The file has no key.
    #[error("it contains no key; create a key file with `decnet key create FILE`")]
    Empty,
    /// The file has too many keys.
    #[error(
        "it contains more than {MAX_ENCRYPTION_KEYS} keys; run `decnet key rotate`, then remove the last lines"
    )]
    TooMany,
}

/// Returns a new random key as a line of a key file, without the line end.
#[must_use]
pub fn generate_key() -> String {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).expect("the operating system provides random bytes");
    STANDARD.encode(key)
}

impl Keyring {
    /// Parses a key file: one key per line, in base64. Empty lines and lines that start with `#` are ignored.
    ///
    /// # Errors
    /// See [`KeyFileError`].
    pub fn parse(text: &str) -> Result<Self, KeyFileError> {
        let mut keys = Vec::<Key>::new();
        let lines = text.lines().map(str::trim).zip(1..);
        for (line, number) in lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#')) {
            let key = Key::decode(line, number)?;
            if keys.iter().any(|known| known.id == key.id) {
                return Err(KeyFileError::Repeated(number));
            }
            keys.push(key);
        }
        match keys.len() {
            0 => Err(KeyFileError::Empty),
            count if count > MAX_ENCRYPTION_KEYS => Err(KeyFileError::TooMany),
            _ => Ok(Self(keys)),
        }
    }

    /// Returns the ids of the keys, which are not secret.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| &*key.id)
    }

    /// Encrypts a text with the first key.
    pub(super) fn seal(&self, place: Place<'_>, text: &str) -> String {
        let Key { id, key } = &self.0[0];
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).expect("the operating system provides random bytes");
        let (mut data, aad) = (text.as_bytes().to_vec(), Aad::from(place.associated_data(id)));
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut data)
            .expect("a value of the catalog is shorter than the cipher's limit");
        Sealed::format(id, &nonce, &data)
    }

    /// Decrypts a value; `None` if its key is not one of these.
    pub(super) fn open(&self, place: Place<'_>, sealed: &Sealed<'_>) -> Option<Result<String, Locked>> {
        let Key { id, key } = self.0.iter().find(|key| *key.id == *sealed.key_id)?;
        let (nonce, mut data) = (Nonce::assume_unique_for_key(sealed.nonce), sealed.data.clone());
        let opened = key.open_in_place(nonce, Aad::from(place.associated_data(id)), &mut data);
        let text = opened.ok().and_then(|text| str::from_utf8(text).ok()).map(str::to_owned);
        Some(text.ok_or_else(|| {
            format!("cannot be decrypted with the key {id}: it was changed, or belongs to another subscription; restore it, or remove it with \
                     `decnet subscription update NAME --discard-encrypted` and set it again").into()
        }))
    }
}

impl Key {
    fn decode(line: &str, number: usize) -> Result<Self, KeyFileError> {
        let bytes = STANDARD.decode(line).ok().and_then(|bytes| <[u8; KEY_BYTES]>::try_from(bytes).ok());
        let bytes = bytes.ok_or(KeyFileError::Line(number))?;
        let mut distinct = bytes.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        if distinct.len() < MIN_DISTINCT_BYTES {
            return Err(KeyFileError::NotRandom(number));
        }
        let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes).map_err(|_| KeyFileError::Line(number))?;
        Ok(Self { id: id(&bytes), key: LessSafeKey::new(key) })
    }
}

/// Returns the id of a key. It reveals nothing about a random key.
fn id(key: &[u8; KEY_BYTES]) -> Box<str> {
    let digest = Sha256::new().chain_update(ID_CONTEXT).chain_update(key).finalize();
    digest[..ID_BYTES].iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLACE: Place<'_> = Place { column: "headers", row: "u-1" };

    fn keyring(text: &str) -> Keyring {
        Keyring::parse(text).unwrap()
    }

    fn open(keyring: &Keyring, place: Place<'_>, sealed: &str) -> Option<Result<String, Locked>> {
        keyring.open(place, &Sealed::parse(sealed).unwrap().unwrap())
    }

    #[test]
    fn first_key_encrypts_and_all_decrypt() {
        let (old, new) = (generate_key(), generate_key());
        let sealed = keyring(&old).seal(PLACE, "hunter2");
        let both = keyring(&format!("# new\n{new}\n\n{old}\n"));
        assert_eq!(open(&both, PLACE, &sealed), Some(Ok("hunter2".into())));
        let resealed = both.seal(PLACE, "hunter2");
        assert_eq!(open(&keyring(&new), PLACE, &resealed), Some(Ok("hunter2".into())));
        assert_eq!(open(&keyring(&new), PLACE, &sealed), None);
    }

    #[test]
    fn value_is_bound_to_its_row_and_column() {
        let keyring = keyring(&generate_key());
        let sealed = keyring.seal(PLACE, "hunter2");
        for place in [Place { row: "u-2", ..PLACE }, Place { column: "credentials", ..PLACE }] {
            let error = open(&keyring, place, &sealed).unwrap().unwrap_err();
            assert!(error.starts_with("cannot be decrypted"), "{error}");
        }
    }

    #[test]
    fn invalid_key_files_are_rejected_without_their_text() {
        let key = generate_key();
        let many = (0..=MAX_ENCRYPTION_KEYS).map(|_| generate_key()).collect::<Vec<_>>().join("\n");
        let zeros = STANDARD.encode([0; KEY_BYTES]);
        for (text, expected) in [
            ("", KeyFileError::Empty),
            ("# only a comment\n", KeyFileError::Empty),
            ("\nhunter2", KeyFileError::Line(2)),
            (&STANDARD.encode([1; 16]), KeyFileError::Line(1)),
            (&zeros, KeyFileError::NotRandom(1)),
            (&format!("{key}\n{key}"), KeyFileError::Repeated(2)),
            (&many, KeyFileError::TooMany),
        ] {
            let error = Keyring::parse(text).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
        let keyring = keyring(&key);
        assert!(!format!("{keyring:?}").contains(&key));
    }

    proptest! {
        #[test]
        fn texts_round_trip_and_changes_are_detected(text in ".{0,80}", at in any::<prop::sample::Index>()) {
            let keyring = keyring(&generate_key());
            let sealed = keyring.seal(PLACE, &text);
            prop_assert_eq!(open(&keyring, PLACE, &sealed), Some(Ok(text.clone())));
            prop_assert_ne!(&sealed, &keyring.seal(PLACE, &text), "every nonce is new");
            let mut changed = Sealed::parse(&sealed).unwrap().unwrap();
            let index = at.index(changed.data.len());
            changed.data[index] ^= 1;
            prop_assert!(keyring.open(PLACE, &changed).unwrap().is_err());
        }
    }
}
