//! The inputs of the process: environment and working directory, read once.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::config::{Inputs, service_units};
use crate::trust::Trust;

/// Returns the inputs; `ini` is the configuration file from the arguments.
pub(crate) fn inputs(ini: Option<PathBuf>) -> Inputs {
    let environment = std::env::vars_os().filter_map(utf8).collect::<BTreeMap<_, _>>();
    let working_dir = std::env::current_dir().unwrap_or_default();
    // A process started by systemd already has the unit's environment.
    let units = if environment.contains_key("INVOCATION_ID") { Vec::new() } else { service_units() };
    let trust = Trust::of_this_process();
    Inputs { environment, units, ini, working_dir, trust, ..Inputs::default() }
}

/// Replaces invalid UTF-8 in a value, whose validation then fails with a message. Skips an invalid name.
fn utf8((name, value): (OsString, OsString)) -> Option<(String, String)> {
    Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
}
