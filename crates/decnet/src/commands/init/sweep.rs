//! The templates of a directory: every `decnet-*.service.j2`.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, ensure};

/// Their names and texts, or why one cannot be read; others are not held up by it.
pub(super) type Swept = Vec<(String, Result<String, String>)>;

/// Reads at most `most` of them, each of at most `bytes` bytes.
///
/// # Errors
/// The directory cannot be read, or holds more than that.
pub(super) fn units(directory: &Path, most: usize, bytes: u64) -> anyhow::Result<Swept> {
    let shown = directory.display();
    let entries = std::fs::read_dir(directory)
        .with_context(|| format!("the templates in {shown} cannot be read; --templates names a directory"))?;
    let mut swept = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.starts_with("decnet-") || !name.ends_with(".service.j2") {
            continue;
        }
        ensure!(swept.len() < most, "{shown} holds more than {most} templates; is it the right directory?");
        let text = read(&directory.join(&name), bytes);
        swept.push((name, text));
    }
    Ok(swept)
}

fn read(path: &Path, bytes: u64) -> Result<String, String> {
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(bytes + 1).read_to_string(&mut text));
    match read {
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
        Ok(_) if text.len() as u64 > bytes => Err(format!("{} is larger than {bytes} bytes", path.display())),
        Ok(_) => Ok(text),
    }
}
