//! What the units of this host's services give them, so that a command in an operator's hand sees what they see.
//!
//! systemd reads a unit's `EnvironmentFile=` before it drops root, so a service gets all of it as its environment. A command
//! reads the same files, as far as it may.

use std::path::{Path, PathBuf};

use crate::units;

/// The worker's: it has every setting.
const UNIT: &str = "decnet-webhook.service";

/// The worker's unit and what `systemctl edit` has put beside it, strongest first.
pub(crate) fn units() -> Vec<PathBuf> {
    let Some(unit) = units::find(&units::places(), UNIT) else { return Vec::new() };
    let beside = std::fs::read_dir(Path::new(units::ADMINISTRATORS).join(format!("{UNIT}.d")));
    let files = beside.into_iter().flatten().flatten().map(|entry| entry.path());
    let mut edits: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "conf")).collect();
    edits.sort_unstable_by(|left, right| right.cmp(left));
    edits.push(unit);
    edits
}

/// The files that a unit names.
pub(super) fn files(unit: &str) -> impl Iterator<Item = &Path> {
    units::values(unit, "EnvironmentFile").map(|(_, value)| units::path(value))
}

/// The variables that a unit sets itself, one a line as ours do, with their line from 1, strongest first.
pub(super) fn variables(unit: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    units::values(unit, "Environment").rev().filter_map(|(line, value)| {
        let (name, value) = value.trim_matches('"').split_once('=')?;
        Some((line, name, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_names_its_files_and_its_variables() {
        let unit = "[Service]\nEnvironmentFile=-/opt/a/.env.local\nEnvironment=A=1\nEnvironment=\"A=2 3\"\n# Environment=B=4\n";
        assert_eq!(files(unit).collect::<Vec<_>>(), [Path::new("/opt/a/.env.local")]);
        assert_eq!(variables(unit).collect::<Vec<_>>(), [(4, "A", "2 3"), (3, "A", "1")]);
    }
}
