//! Helpers for tests of `decnet init` in an image.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Host, code, stderr, stdout};

/// The units in the image.
pub(crate) const UNITS: &str = "root/etc/systemd/system";

/// Returns the exit code and all output.
pub(crate) fn init(host: &Host, arguments: &[&str]) -> (i32, String) {
    let root = host.path().join("root");
    let common = ["init", "--prefix", root.to_str().unwrap()];
    let binary: &[&str] =
        if arguments.contains(&"--binary") { &[] } else { &["--binary", "/usr/bin/decnet"] };
    let output = host.run(&[&common[..], binary, arguments].concat());
    (code(&output), stdout(&output) + &stderr(&output))
}

/// Returns every file below the directory, with its text.
pub(crate) fn files(directory: &Path) -> Vec<(PathBuf, String)> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.clone(), fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort();
    found
}

/// Adds a unit of another DECNET to the image and returns its text.
pub(crate) fn foreign(host: &Host, name: &str, user: &str) -> String {
    let text = format!(
        "[Service]\nUser={user}\nGroup=netops\nWorkingDirectory=/srv/decnet\nExecStart=/srv/decnet/.venv/bin/decnet x\n"
    );
    let units = host.path().join(UNITS);
    fs::create_dir_all(&units).unwrap();
    fs::write(units.join(name), &text).unwrap();
    text
}
