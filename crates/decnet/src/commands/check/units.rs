//! The check of the installed units and the program that they start.

use std::fs;
use std::path::{Path, PathBuf};

use super::probe::{Health, Probe};
use crate::units;

const UNITS: [&str; 3] = ["decnet-bus.service", "decnet-webhook.service", "decnet-api.service"];

pub(super) fn probe() -> Probe {
    check(&units::places(), std::env::current_exe().ok().as_deref())
}

fn check(places: &[PathBuf], program: Option<&Path>) -> Probe {
    let found: Vec<_> = UNITS.iter().filter_map(|name| find(places, name)).collect();
    if found.is_empty() {
        let detail = "not installed; `sudo decnet init` installs them (not needed for `decnet serve`)";
        return Probe::new("services", Ok((Health::Waiting, detail.into())));
    }
    let units: Vec<_> = found.iter().map(|(path, text)| describe(path, text, program)).collect();
    Probe::new("services", Ok((Health::Good, units.join(", "))))
}

fn find(places: &[PathBuf], name: &str) -> Option<(PathBuf, String)> {
    let path = units::find(places, name)?;
    let text = fs::read_to_string(&path).ok()?;
    Some((path, text))
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
    fn effective_unit_and_its_other_program_are_shown() {
        let dir = tempfile::tempdir().unwrap();
        let places = ["etc", "lib"].map(|name| dir.path().join(name));
        let program = fs::canonicalize("/bin/sh").unwrap();
        assert!(check(&places, Some(&program)).detail.starts_with("not installed"));
        places.iter().for_each(|place| fs::create_dir(place).unwrap());
        fs::write(places[1].join("decnet-bus.service"), "[Service]\nExecStart=/bin/sh bus\n").unwrap();
        let of_package = places[1].join("decnet-bus.service").display().to_string();
        assert_eq!(check(&places, Some(&program)).detail, of_package);
        fs::write(places[0].join("decnet-bus.service"), "ExecStart=/opt/decnet/.venv/bin/decnet bus\n")
            .unwrap();
        let detail = check(&places, Some(&program)).detail;
        assert!(
            detail.contains("/etc/")
                && detail.contains("(starts another program: /opt/decnet/.venv/bin/decnet)"),
            "{detail}"
        );
    }
}
