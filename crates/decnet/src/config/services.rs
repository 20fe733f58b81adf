//! The settings in the units of this host's services, so that an operator's command uses the same settings.
//!
//! systemd reads a unit's `EnvironmentFile=` before it drops root privileges, so a service gets all of it as its environment.
//! A command reads the same files as far as permissions allow.

use std::path::{Path, PathBuf};

use super::database::Database;
use super::dotenv::Dialect;
use super::layers::{DOTENV_FILES, Layers};
use super::{ini, keys, read_database};
use crate::units;

/// Returns the worker's unit and the drop-ins of `systemctl edit`, in descending precedence.
pub(crate) fn units() -> Vec<PathBuf> {
    let Some(unit) = units::find(&units::directories(), units::WORKER) else { return Vec::new() };
    let drop_ins = std::fs::read_dir(Path::new(units::ADMINISTRATORS).join(format!("{}.d", units::WORKER)));
    let files = drop_ins.into_iter().flatten().flatten().map(|entry| entry.path());
    let mut edits: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "conf")).collect();
    edits.sort_unstable_by(|left, right| right.cmp(left));
    edits.push(unit);
    edits
}

/// Returns the catalog that a service's settings name, if they do: its INI file, and `.env.local` and `.env` in its directory,
/// of which systemd loads the former into the environment. `read` returns the content of a file, empty if it does not exist.
pub(crate) fn services_database(
    ini: &Path,
    directory: &Path,
    read: impl Fn(&Path) -> String,
) -> Option<Database> {
    let mut layers = Layers::default();
    let [local, shared] = DOTENV_FILES.map(|name| directory.join(name));
    layers.offer_lines(&local, &read(&local), Dialect::Systemd);
    ini::offer(&mut layers, &ini.to_string_lossy(), &read(ini));
    layers.offer_lines(&shared, &read(&shared), Dialect::Python);
    let database = read_database(&mut layers, Path::new(""));
    let is_named = layers.text(keys::DB_URL.info.name).is_some() || matches!(database, Database::Server(_));
    is_named.then_some(database)
}

/// Returns the files that units name, in descending precedence: of two values, systemd uses the value that it reads later.
pub(super) fn files(units: &[(PathBuf, String)]) -> impl Iterator<Item = &Path> {
    values(units, "EnvironmentFile").map(|(_, _, value)| units::path(value))
}

/// Returns the variables that units set directly, in descending precedence, each with its unit and its line number, from 1. Only
/// one variable per line is supported, as our units are written.
pub(super) fn variables(units: &[(PathBuf, String)]) -> impl Iterator<Item = (&Path, usize, &str, &str)> {
    values(units, "Environment").filter_map(|(unit, line, value)| {
        let (name, value) = value.trim_matches('"').split_once('=')?;
        Some((unit, line, name, value))
    })
}

/// Returns the values of a key, in descending precedence. An empty value cancels all earlier values.
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
    fn later_file_and_later_variable_take_precedence() {
        let unit = "[Service]\nEnvironmentFile=-/a\nEnvironment=A=1\nEnvironment=\"A=2 3\"\n# Environment=B=4\nEnvironmentFile=/b\n";
        let edit = "EnvironmentFile=/c\n";
        let units = [(PathBuf::from("edit"), edit.to_owned()), (PathBuf::from("unit"), unit.to_owned())];
        assert_eq!(files(&units).collect::<Vec<_>>(), ["/c", "/b", "/a"].map(Path::new));
        let unit = Path::new("unit");
        assert_eq!(variables(&units).collect::<Vec<_>>(), [(unit, 4, "A", "2 3"), (unit, 3, "A", "1")]);
    }

    #[test]
    fn empty_value_cancels_earlier_values() {
        let edit = (PathBuf::from("edit"), "EnvironmentFile=\nEnvironmentFile=/c\n".to_owned());
        let units = [edit, (PathBuf::from("unit"), "EnvironmentFile=/a\n".to_owned())];
        assert_eq!(files(&units).collect::<Vec<_>>(), [Path::new("/c")]);
    }
}
