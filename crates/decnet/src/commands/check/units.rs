//! Are the services installed, and do they start this program?

use std::fs;
use std::path::{Path, PathBuf};

use super::probe::{Health, Probe};
use crate::units;

const UNITS: [&str; 3] = ["decnet-bus.service", "decnet-webhook.service", "decnet-api.service"];

pub(super) fn probe() -> Probe {
    judge(&units::places(), std::env::current_exe().ok().as_deref())
}

fn judge(places: &[PathBuf], program: Option<&Path>) -> Probe {
    let what = "services";
    let found: Vec<_> = UNITS.iter().filter_map(|name| find(places, name)).collect();
    if found.is_empty() {
        let detail = "not installed; `sudo decnet init` installs them, `decnet serve` needs none";
        return Probe::new(what, Health::Waiting, detail);
    }
    let told: Vec<_> = found.iter().map(|(path, text)| tell(path, text, program)).collect();
    Probe::new(what, Health::Good, told.join(", "))
}

fn find(places: &[PathBuf], name: &str) -> Option<(PathBuf, String)> {
    let path = units::find(places, name)?;
    let text = fs::read_to_string(&path).ok()?;
    Some((path, text))
}

/// The unit's place, and which program it starts where that is not this one.
fn tell(path: &Path, unit: &str, program: Option<&Path>) -> String {
    let starts = units::value(unit, "ExecStart")
        .and_then(|command| command.split_whitespace().next())
        .unwrap_or_default();
    let is_this = fs::canonicalize(starts).ok().as_deref() == program;
    let other = if is_this { String::new() } else { format!(" (starts {starts}, which is another program)") };
    format!("{}{other}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_that_wins_is_shown_and_another_program_named() {
        let dir = tempfile::tempdir().unwrap();
        let places = ["etc", "lib"].map(|name| dir.path().join(name));
        let program = fs::canonicalize("/bin/sh").unwrap();
        assert!(judge(&places, Some(&program)).detail.starts_with("not installed"));
        places.iter().for_each(|place| fs::create_dir(place).unwrap());
        fs::write(places[1].join("decnet-bus.service"), "[Service]\nExecStart=/bin/sh bus\n").unwrap();
        let of_package = places[1].join("decnet-bus.service").display().to_string();
        assert_eq!(judge(&places, Some(&program)).detail, of_package);
        fs::write(places[0].join("decnet-bus.service"), "ExecStart=/opt/decnet/.venv/bin/decnet bus\n")
            .unwrap();
        let told = judge(&places, Some(&program)).detail;
        assert!(
            told.contains("/etc/") && told.contains("(starts /opt/decnet/.venv/bin/decnet, which"),
            "{told}"
        );
    }
}
