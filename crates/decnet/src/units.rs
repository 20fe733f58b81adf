//! The services' systemd units on this host: their directories and their values.

use std::path::{Path, PathBuf};

/// The worker's unit, which has all settings.
pub(crate) const WORKER: &str = "decnet-webhook.service";
/// The units of all services.
const SERVICES: [&str; 3] = ["decnet-bus.service", WORKER, "decnet-api.service"];
/// The directory of the administrator's units and drop-ins.
pub(crate) const ADMINISTRATORS: &str = "/etc/systemd/system";
/// The directories of packages' units; the administrator's units override them.
pub(crate) const PACKAGES: [&str; 2] = ["/usr/lib/systemd/system", "/lib/systemd/system"];

/// Returns every directory of units, highest priority first.
pub(crate) fn directories() -> Vec<PathBuf> {
    std::iter::once(ADMINISTRATORS).chain(PACKAGES).map(PathBuf::from).collect()
}

/// Returns the file of a unit with the highest priority.
pub(crate) fn find(directories: &[PathBuf], name: &str) -> Option<PathBuf> {
    directories.iter().map(|directory| directory.join(name)).find(|unit| unit.is_file())
}

/// Returns the file and the text of each service's unit that can be read.
pub(crate) fn services(directories: &[PathBuf]) -> impl Iterator<Item = (PathBuf, String)> {
    let files = SERVICES.iter().filter_map(|name| find(directories, name));
    files.filter_map(|file| std::fs::read_to_string(&file).ok().map(|text| (file, text)))
}

/// Returns the values of a key in a unit in order, each with its line number from 1.
pub(crate) fn values<'a>(unit: &'a str, key: &str) -> impl DoubleEndedIterator<Item = (usize, &'a str)> {
    let lines: Vec<_> = unit.lines().enumerate().collect();
    lines.into_iter().filter_map(move |(line, text)| {
        let (found, value) = text.split_once('=')?;
        (found.trim() == key).then(|| (line + 1, value.trim()))
    })
}

/// Returns the last value of a key, which is the effective value; `None` if it is empty.
pub(crate) fn value<'a>(unit: &'a str, key: &str) -> Option<&'a str> {
    values(unit, key).next_back().map(|(_, value)| value).filter(|value| !value.is_empty())
}

/// Returns a path without the `-` prefix that makes it optional.
pub(crate) fn path(value: &str) -> &Path {
    Path::new(value.trim_start_matches('-').trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_value_of_a_key_is_effective() {
        let unit =
            "[Service]\nUser=a\nWorkingDirectory=-/opt/decnet\nUser = decnet\nUserX=b\n# User=c\nGroup=\n";
        assert_eq!(value(unit, "User"), Some("decnet"));
        assert_eq!(value(unit, "Group"), None);
        assert_eq!(value(unit, "WorkingDirectory").map(path), Some(Path::new("/opt/decnet")));
        assert_eq!(values(unit, "User").collect::<Vec<_>>(), [(2, "a"), (4, "decnet")]);
    }

    #[test]
    fn administrators_unit_overrides_the_package_unit() {
        let dir = tempfile::tempdir().unwrap();
        let directories = ["etc", "lib"].map(|name| dir.path().join(name));
        assert_eq!(find(&directories, "a.service"), None);
        for directory in directories.iter().rev() {
            std::fs::create_dir(directory).unwrap();
            std::fs::write(directory.join("a.service"), "").unwrap();
            assert_eq!(find(&directories, "a.service"), Some(directory.join("a.service")));
        }
    }
}
