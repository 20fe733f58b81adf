//! Encryption of the catalog's secrets at rest, with the keys of the operator's key file.
//!
//! A value is encrypted with ChaCha20-Poly1305 (RFC 8439) and a random nonce. Its table, column, row and key are associated data, so
//! a value that was copied to another row or column cannot be decrypted there. The first key of the file encrypts, and all keys
//! decrypt, so that keys can be rotated. Values that are not encrypted stay readable.
//!
//! [`Keys`] is the handle that catalogs share. It reads the file again when the file has changed, so that a rotation needs no restart.

mod keyring;
mod sealed;

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub use self::keyring::{KeyFileError, Keyring, generate_key};
pub(crate) use self::sealed::{Place, Sealed};

/// Reads the key file. The error is the reason why it cannot be used, without its contents.
type Load = dyn Fn(&Path) -> Result<Keyring, String> + Send + Sync;

/// The keys of the configured key file, if there is one. Clones share the keys.
#[derive(Clone, Default)]
pub struct Keys(Option<Arc<KeyFile>>);

struct KeyFile {
    path: PathBuf,
    load: Box<Load>,
    current: Mutex<Loaded>,
}

/// The result of reading the key file, and the state of the file before that.
#[derive(Clone)]
struct Loaded {
    stamp: Option<Stamp>,
    keyring: Result<Arc<Keyring>, Arc<str>>,
}

/// Device, inode, size, and the time of the last change of contents or metadata.
type Stamp = (u64, u64, u64, i64, i64);

/// The reason why an encrypted value cannot be read. The text follows the name of the column.
pub(crate) type Locked = Box<str>;

impl Keys {
    /// Reads the key file with `load`. A file that cannot be used is not an error here: see [`Self::problem`].
    #[must_use]
    pub fn new(
        path: PathBuf,
        load: impl Fn(&Path) -> Result<Keyring, String> + Send + Sync + 'static,
    ) -> Self {
        let current = Mutex::new(Loaded::read(&path, &load));
        Self(Some(Arc::new(KeyFile { path, load: Box::new(load), current })))
    }

    /// Returns the path of the key file, if one is configured.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.0.as_ref().map(|file| &*file.path)
    }

    /// Returns the reason why the configured key file cannot be used, if it cannot.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.0.as_ref()?.current().keyring.err().map(|why| why.to_string())
    }

    /// Returns the ids of the keys; the first encrypts. Empty without a usable key file.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        let keyring = self.0.as_ref().and_then(|file| file.current().keyring.ok());
        keyring.iter().flat_map(|keyring| keyring.ids()).map(str::to_owned).collect()
    }

    /// Returns the id of the key that encrypts, if there is a usable key file.
    #[must_use]
    pub fn first_id(&self) -> Option<String> {
        self.ids().into_iter().next()
    }

    /// Encrypts a text with the first key; `None` if no key file is configured.
    ///
    /// # Errors
    /// The key file cannot be used.
    pub(crate) fn seal(&self, place: Place<'_>, text: &str) -> Result<Option<String>, Arc<str>> {
        let Some(file) = &self.0 else { return Ok(None) };
        Ok(Some(file.current().keyring?.seal(place, text)))
    }

    /// Decrypts a text; `None` if it is not encrypted.
    ///
    /// # Errors
    /// The reason why it cannot be decrypted.
    pub(crate) fn open(&self, place: Place<'_>, text: &str) -> Option<Result<String, Locked>> {
        Some(Sealed::parse(text)?.and_then(|sealed| self.decrypt(place, &sealed)))
    }

    fn decrypt(&self, place: Place<'_>, sealed: &Sealed<'_>) -> Result<String, Locked> {
        let id = sealed.key_id;
        let file = self.0.as_ref().ok_or_else(|| {
            format!(
                "is encrypted with the key {id}; set DECNET_WEBHOOK_KEY_FILE to the file that has this key"
            )
        })?;
        let unusable = |why: &Arc<str>| {
            format!("is encrypted with the key {id}, and the key file cannot be used: {why}")
        };
        let loaded = file.loaded();
        let opened = loaded.keyring.as_ref().map_err(unusable).map(|keyring| keyring.open(place, sealed));
        // The file may have got this key since it was read.
        let opened = match opened {
            Ok(Some(opened)) => return opened,
            _ => file.current().keyring.as_ref().map_err(unusable).map(|keyring| keyring.open(place, sealed)),
        };
        opened?.unwrap_or_else(|| {
            let path = file.path.display();
            Err(format!("is encrypted with the key {id}, which {path} does not have; add this key as a line, or remove the value \
                         with `decnet subscription update NAME --discard-encrypted` and set it again").into())
        })
    }
}

impl KeyFile {
    /// Returns the result of the last reading.
    fn loaded(&self) -> Loaded {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the result of the last reading, and reads the file first if it has changed since then.
    fn current(&self) -> Loaded {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.stamp != stamp(&self.path) {
            *current = Loaded::read(&self.path, &self.load);
        }
        current.clone()
    }
}

impl Loaded {
    fn read(path: &Path, load: &dyn Fn(&Path) -> Result<Keyring, String>) -> Self {
        let stamp = stamp(path);
        Self { stamp, keyring: load(path).map(Arc::new).map_err(Arc::from) }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = path.metadata().ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.size(), metadata.ctime(), metadata.ctime_nsec()))
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("path", &self.path()).field("ids", &self.ids()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place { column: "headers", row: "u-1" };

    fn keys(path: &Path) -> Keys {
        Keys::new(path.to_owned(), |path| {
            let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
            Keyring::parse(&text).map_err(|error| error.to_string())
        })
    }

    #[test]
    fn changed_key_file_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let keys = keys(&path);
        assert!(keys.problem().is_some() && keys.seal(PLACE, "x").is_err());
        let old = generate_key();
        std::fs::write(&path, &old).unwrap();
        let sealed = keys.seal(PLACE, "hunter2").unwrap().unwrap();
        assert_eq!(keys.problem(), None);
        std::fs::write(&path, format!("{}\n{old}", generate_key())).unwrap();
        let newer = keys.seal(PLACE, "hunter2").unwrap().unwrap();
        assert_eq!(keys.open(PLACE, &sealed), Some(Ok("hunter2".into())));
        std::fs::write(&path, &old).unwrap();
        assert_eq!(keys.ids().len(), 1);
        let locked = keys.open(PLACE, &newer).unwrap().unwrap_err();
        assert!(locked.contains("does not have"), "{locked}");
    }

    #[test]
    fn reason_of_a_locked_value_names_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, generate_key()).unwrap();
        let keys = keys(&path);
        let (id, sealed) = (keys.first_id().unwrap(), keys.seal(PLACE, "hunter2").unwrap().unwrap());
        let without = Keys::default().open(PLACE, &sealed).unwrap().unwrap_err();
        assert!(without.contains(&id) && without.contains("DECNET_WEBHOOK_KEY_FILE"), "{without}");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(keys.open(PLACE, &sealed), Some(Ok("hunter2".into())), "loaded keys are kept in memory");
        assert!(keys.seal(PLACE, "x").is_err());
        let unusable = keys.open(PLACE, &sealed).unwrap().unwrap_err();
        assert!(unusable.contains(&id) && unusable.contains("cannot be used"), "{unusable}");
        assert_eq!(keys.open(PLACE, "{}"), None);
    }
}
