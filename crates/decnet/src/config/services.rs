//! What the units of this host's services give them, so that a command in an operator's hand sees what they see.
//!
//! systemd reads a unit's `EnvironmentFile=` before it drops root, so a service gets all of it as its environment. A command
//! reads the same files, as far as it may.

use std::path::{Path, PathBuf};

use super::database::Database;
use super::dotenv::Dialect;
use super::layers::Layers;
use super::{ini, keys, read_database};
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

/// The texts of files from which a service gets its settings; empty where there is none.
pub(crate) struct ServiceFiles {
    /// The INI file.
    pub(crate) ini: String,
    /// `.env.local` of its directory, which systemd makes the service's environment.
    pub(crate) env_local: String,
    /// `.env` of its directory.
    pub(crate) env: String,
}

/// The catalog that a service is given by its files, where they name one.
pub(crate) fn services_database(files: &ServiceFiles) -> Option<Database> {
    let mut layers = Layers::default();
    layers.offer_lines(Path::new(".env.local"), &files.env_local, Dialect::Systemd);
    ini::offer(&mut layers, "decnet.ini", &files.ini);
    layers.offer_lines(Path::new(".env"), &files.env, Dialect::Python);
    let database = read_database(&mut layers, Path::new(""));
    let is_named = layers.text(keys::DB_URL.info.name).is_some() || matches!(database, Database::Server(_));
    is_named.then_some(database)
}

/// The files that units name, strongest first: of two that have a name, systemd takes the one that it reads later.
pub(super) fn files(units: &[(PathBuf, String)]) -> impl Iterator<Item = &Path> {
    values(units, "EnvironmentFile").map(|(_, _, value)| units::path(value))
}

/// The variables that units set themselves, one a line as ours do, strongest first, each with its unit and its line from 1.
pub(super) fn variables(units: &[(PathBuf, String)]) -> impl Iterator<Item = (&Path, usize, &str, &str)> {
    values(units, "Environment").filter_map(|(unit, line, value)| {
        let (name, value) = value.trim_matches('"').split_once('=')?;
        Some((unit, line, name, value))
    })
}

/// The values of a key, strongest first. An empty one takes back all that come before it.
fn values<'a>(
    units: &'a [(PathBuf, String)],
    key: &'static str,
) -> impl Iterator<Item = (&'a Path, usize, &'a str)> {
    let of_unit = move |(unit, text): &'a (PathBuf, String)| {
        units::values(text, key).rev().map(move |(line, value)| (unit.as_path(), line, value))
    };
    units.iter().flat_map(of_unit).take_while(|(_, _, value)| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_file_and_the_later_variable_are_the_stronger() {
        let unit = "[Service]\nEnvironmentFile=-/a\nEnvironment=A=1\nEnvironment=\"A=2 3\"\n# Environment=B=4\nEnvironmentFile=/b\n";
        let edit = "EnvironmentFile=/c\n";
        let units = [(PathBuf::from("edit"), edit.to_owned()), (PathBuf::from("unit"), unit.to_owned())];
        assert_eq!(files(&units).collect::<Vec<_>>(), ["/c", "/b", "/a"].map(Path::new));
        let unit = Path::new("unit");
        assert_eq!(variables(&units).collect::<Vec<_>>(), [(unit, 4, "A", "2 3"), (unit, 3, "A", "1")]);
    }

    #[test]
    fn an_empty_line_takes_back_what_was_named_before() {
        let edit = (PathBuf::from("edit"), "EnvironmentFile=\nEnvironmentFile=/c\n".to_owned());
        let units = [edit, (PathBuf::from("unit"), "EnvironmentFile=/a\n".to_owned())];
        assert_eq!(files(&units).collect::<Vec<_>>(), [Path::new("/c")]);
    }
}
