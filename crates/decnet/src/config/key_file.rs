//! The key file, whose keys encrypt secrets in the catalog.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use decnet_store::vault::{Keyring, Keys};
use rustix::fs::{StatVfsMountFlags, fstatvfs};

use super::access::credential;
use super::layers::Layers;
use super::{Inputs, keys};
use crate::trust::{Given, Trust, read_at_most};

/// The name of the key file in `$CREDENTIALS_DIRECTORY` (systemd.exec(5), `LoadCredential=`).
const CREDENTIAL: &str = "decnet-webhook-key";
/// The largest accepted key file, in bytes. A larger file indicates a wrong path.
const MAX_KEY_FILE_BYTES: u64 = 16 * 1024;
/// The permission bits of group and others.
const OTHERS: u32 = 0o077;

/// Returns the keys of the configured file. A file that cannot be used causes a warning and not an error: only the subscriptions
/// that need it are held, while a worker that does not start would deliver nothing.
pub(super) fn read(layers: &mut Layers, inputs: &Inputs) -> Keys {
    let Some(path) = layers.find(&keys::KEY_FILE).or_else(|| credential(inputs, CREDENTIAL)) else {
        return Keys::default();
    };
    let (path, trust) = (inputs.working_dir.join(path), layers.trust.clone());
    let keys = Keys::new(path.clone(), move |path| load(path, &trust));
    if let Some(problem) = keys.problem() {
        layers.warnings.push(format!(
            "{}: {} cannot be used: {problem}; subscriptions whose secrets are encrypted are held, and secrets cannot be stored",
            keys::KEY_FILE.info.name,
            path.display()
        ));
    }
    keys
}

/// Reads a key file that only its owner may access. The mode is not checked on read-only file systems: containers and systemd
/// mount secrets that way.
fn load(path: &Path, trust: &Trust) -> Result<Keyring, String> {
    let file = trust.open(path, Given::Named).map_err(|error| error.to_string())?;
    let mode = file.metadata().map_err(|error| error.to_string())?.mode() & 0o7777;
    let is_read_only = fstatvfs(&file).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::RDONLY));
    if mode & OTHERS != 0 && !is_read_only {
        return Err(format!("other users can access it (mode {mode:04o}); run chmod 0600 on it"));
    }
    let text = read_at_most(file, MAX_KEY_FILE_BYTES).map_err(|error| error.to_string())?;
    Keyring::parse(&text).map_err(|error| error.to_string())
}
