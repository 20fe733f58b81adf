//! What the process was started with, taken over once.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::config::{Inputs, service_units};
use crate::trust::Trust;

/// The environment and the working directory; `ini` is what the arguments name.
pub(crate) fn inputs(ini: Option<PathBuf>) -> Inputs {
    let environment = std::env::vars_os().filter_map(utf8).collect::<BTreeMap<_, _>>();
    let working_dir = std::env::current_dir().unwrap_or_default();
    // Whom systemd starts has the unit's environment already.
    let units = if environment.contains_key("INVOCATION_ID") { Vec::new() } else { service_units() };
    let trust = Trust::of_this_process();
    Inputs { environment, units, ini, working_dir, trust, ..Inputs::default() }
}

/// A value that is no UTF-8 is shown with its bad bytes replaced: it then fails as what it is meant to be.
fn utf8((name, value): (OsString, OsString)) -> Option<(String, String)> {
    Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
}
