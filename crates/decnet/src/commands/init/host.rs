//! What is there already, looked at once, before anything is planned.

use std::path::Path;

use super::layout::{Layout, saved};
use super::templates::is_ours;
use crate::config;

/// A unit of ours or of another DECNET.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) name: String,
    /// What it says; empty where it cannot be read.
    pub(super) text: String,
    pub(super) is_ours: bool,
    /// Another's is kept beside it, to be put back.
    pub(super) has_saved: bool,
}

/// What is there already.
#[derive(Debug, Clone, Default)]
pub(super) struct Host {
    /// systemd runs, and this is its system.
    pub(super) has_systemd: bool,
    /// Sorted by name.
    pub(super) units: Vec<Unit>,
}

impl Host {
    pub(super) fn look(layout: &Layout) -> Self {
        let has_systemd = layout.is_live() && Path::new("/run/systemd/system").is_dir();
        Self { has_systemd, units: units(layout) }
    }

    /// Is there a unit of this name that says something else?
    pub(super) fn differs(&self, name: &str, text: &str) -> bool {
        self.units.iter().any(|unit| unit.name == name && unit.text != text)
    }

    /// Units that are not ours, now or once what was saved is back.
    pub(super) fn foreign(&self) -> impl Iterator<Item = &str> {
        self.units.iter().filter(|unit| !unit.is_ours || unit.has_saved).map(|unit| unit.name.as_str())
    }
}

/// A directory that cannot be read has no units; writing into it will say why.
fn units(layout: &Layout) -> Vec<Unit> {
    let Ok(entries) = std::fs::read_dir(&layout.units) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut units: Vec<_> = names
        .filter(|name| name.starts_with("decnet-") && name.ends_with(".service"))
        .map(|name| {
            let path = layout.unit(&name);
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            Unit { is_ours: is_ours(&text), has_saved: saved(&path).exists(), name, text }
        })
        .collect();
    units.sort_by(|a, b| a.name.cmp(&b.name));
    units
}

/// The last value of a key in a unit, without the `-` that makes a path optional.
pub(super) fn value_in(unit: &str, key: &str) -> Option<String> {
    let lines = unit.lines().rev().filter_map(|line| line.trim().split_once('='));
    let value = lines.filter(|(found, _)| found.trim() == key).map(|(_, value)| value.trim()).next()?;
    let value = value.trim_start_matches('-');
    (!value.is_empty()).then(|| value.to_owned())
}

/// The catalog of a DECNET that lives in `install_dir`.
pub(super) fn catalog(layout: &Layout, install_dir: &str) -> Option<String> {
    let catalog = format!("{install_dir}/decnet.db");
    layout.below(&catalog).is_file().then_some(catalog)
}

/// Does the INI file say which catalog it is? What a unit says would win over it.
pub(super) fn names_catalog(layout: &Layout) -> bool {
    let ini = std::fs::read_to_string(&layout.ini).unwrap_or_default();
    config::ini_sets(&ini, "database", "url")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_the_last_one_of_its_key() {
        let unit = "[Service]\nUser=a\nWorkingDirectory=-/opt/decnet\nUser = decnet\nUserX=b\nGroup=\n";
        assert_eq!(value_in(unit, "User").as_deref(), Some("decnet"));
        assert_eq!(value_in(unit, "WorkingDirectory").as_deref(), Some("/opt/decnet"));
        assert_eq!(value_in(unit, "Group"), None);
    }
}
