//! Files whose first line is a secret.

use std::path::Path;

use decnet_core::redact::Secret;
use decnet_core::text::BYTE_ORDER_MARK;

use super::layers::Layers;
use crate::trust::Given;

/// The largest accepted secret file, in bytes. A larger file indicates a wrong path.
const MAX_SECRET_FILE_BYTES: u64 = 4096;

/// Reads the first line of a file that the setting `name` names. Adds a warning if every user can read the file.
///
/// # Errors
/// The problem, without the secret.
pub(super) fn read(layers: &mut Layers, name: &str, path: &Path) -> Result<Secret, String> {
    let shown = path.display();
    let read = layers.trust.read(path, Given::Named, MAX_SECRET_FILE_BYTES);
    let read = read.map_err(|error| format!("{name}: {shown} cannot be read: {error}"))?;
    if read.text.starts_with(BYTE_ORDER_MARK) {
        return Err(format!(
            "{name}: {shown} begins with a byte order mark (U+FEFF); save it without the mark"
        ));
    }
    if read.mode & 0o004 != 0 {
        layers
            .warnings
            .push(format!("{shown} contains a secret and is readable by every user; run chmod 0600 on it"));
    }
    Ok(Secret::new(read.text.lines().next().unwrap_or_default().trim()))
}
