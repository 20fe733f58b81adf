//! The check of the installed units and the program that they start.

use std::fs;
use std::path::{Path, PathBuf};

use super::probe::{Health, Probe};
use crate::units;

pub(super) fn probe() -> Probe {
    check(&units::directories(), std::env::current_exe().ok().as_deref())
}

fn check(unit_directories: &[PathBuf], program: Option<&Path>) -> Probe {
    let units = units::services(unit_directories).map(|(path, text)| describe(&path, &text, program));
    let units: Vec<_> = units.collect();
    if units.is_empty() {
        let detail = "not installed; `sudo decnet init` installs them (not needed for `decnet serve`)";
        return Probe::new("services", Ok((Health::Waiting, detail.into())));
    }
    Probe::new("services", Ok((Health::Good, units.join(", "))))
}

/// Returns the path of a unit, and the program that it starts if that is not this program.
fn describe(path: &Path, unit: &str, program: Option<&Path>) -> String {
    let starts = units::value(unit, "ExecStart")
        .and_then(|command| command.split_whitespace().next())
        .unwrap_or_default();
    let is_this = fs::canonicalize(starts).ok().as_deref() == program;
    let other = if is_this { String::new() } else { format!(" (starts another program: {starts})") };
    format!("{}{other}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effective_unit_is_shown_with_its_program_if_that_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let directories = ["etc", "lib"].map(|name| dir.path().join(name));
        let program = fs::canonicalize("/bin/sh").unwrap();
        assert!(check(&directories, Some(&program)).detail.starts_with("not installed"));
        directories.iter().for_each(|directory| fs::create_dir(directory).unwrap());
        fs::write(directories[1].join("decnet-bus.service"), "[Service]\nExecStart=/bin/sh bus\n").unwrap();
        let of_package = directories[1].join("decnet-bus.service").display().to_string();
        assert_eq!(check(&directories, Some(&program)).detail, of_package);
        fs::write(directories[0].join("decnet-bus.service"), "ExecStart=/opt/decnet/.venv/bin/decnet bus\n")
            .unwrap();
        let detail = check(&directories, Some(&program)).detail;
        assert!(
            detail.contains("/etc/")
                && detail.contains("(starts another program: /opt/decnet/.venv/bin/decnet)"),
            "{detail}"
        );
    }
}
