//! What the units of this host's services give them, so that a command in an operator's hand sees what they see.
//!
//! systemd reads a unit's `EnvironmentFile=` before it drops root, so a service gets all of it as its environment. A command
//! reads the same files, as far as it may.

use std::path::{Path, PathBuf};

/// An administrator's units win over a package's.
const PLACES: [&str; 3] = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
/// The worker's: it has every setting.
const UNIT: &str = "decnet-webhook.service";

/// The worker's unit and what `systemctl edit` has put beside it, strongest first.
pub(crate) fn units() -> Vec<PathBuf> {
    let Some(unit) = PLACES.iter().map(|place| Path::new(place).join(UNIT)).find(|unit| unit.is_file())
    else {
        return Vec::new();
    };
    let beside = std::fs::read_dir(Path::new(PLACES[0]).join(format!("{UNIT}.d")));
    let files = beside.into_iter().flatten().flatten().map(|entry| entry.path());
    let mut edits: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "conf")).collect();
    edits.sort_unstable_by(|left, right| right.cmp(left));
    edits.push(unit);
    edits
}

/// The files that a unit names.
pub(super) fn files(unit: &str) -> impl Iterator<Item = &Path> {
    let values = unit.lines().filter_map(|line| line.strip_prefix("EnvironmentFile="));
    values.map(|value| Path::new(value.strip_prefix('-').unwrap_or(value).trim()))
}

/// The variables that a unit sets itself, one a line as ours do, with their line from 1, strongest first.
pub(super) fn variables(unit: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    let lines = unit.lines().enumerate().collect::<Vec<_>>().into_iter().rev();
    lines.filter_map(|(line, text)| {
        let (name, value) = text.strip_prefix("Environment=")?.trim().trim_matches('"').split_once('=')?;
        Some((line + 1, name, value))
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
