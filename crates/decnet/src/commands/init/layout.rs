//! The paths of an installation.

use std::path::{Path, PathBuf};

use super::root::Root;
use crate::units::{ADMINISTRATORS, PACKAGES};

/// The paths of an installation, all below its prefix.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) root: Root,
    pub(super) units: PathBuf,
    /// The unit directories of packages. Units in `units` override those there.
    pub(super) packages: Vec<PathBuf>,
    pub(super) tmpfiles: PathBuf,
    pub(super) sysusers: PathBuf,
    pub(super) polkit: PathBuf,
    pub(super) logrotate: PathBuf,
    pub(super) settings: PathBuf,
    pub(super) ini: PathBuf,
    pub(super) data: PathBuf,
    /// The directory for logs that an operator redirects to files.
    pub(super) logs: PathBuf,
    pub(super) runtime: PathBuf,
}

impl Layout {
    /// Returns the paths of an administrator's installation in `/etc`, or of a package's (`vendor`) in `/usr`, which the
    /// administrator's overrides.
    pub(super) fn new(prefix: &Path, vendor: bool) -> Self {
        let root = Root::new(prefix);
        let below = |path: &str| root.below(path);
        let either = |admin, package| below(if vendor { package } else { admin });
        Self {
            units: below(if vendor { PACKAGES[0] } else { ADMINISTRATORS }),
            packages: if vendor { Vec::new() } else { PACKAGES.map(below).into() },
            tmpfiles: either("/etc/tmpfiles.d/decnet.conf", "/usr/lib/tmpfiles.d/decnet.conf"),
            sysusers: either("/etc/sysusers.d/decnet.conf", "/usr/lib/sysusers.d/decnet.conf"),
            polkit: either("/etc/polkit-1/rules.d", "/usr/share/polkit-1/rules.d"),
            logrotate: below("/etc/logrotate.d/decnet"),
            settings: below("/etc/decnet"),
            ini: below("/etc/decnet/decnet.ini"),
            data: below("/var/lib/decnet"),
            logs: below("/var/log/decnet"),
            runtime: below("/run/decnet"),
            root,
        }
    }

    /// Returns the path of a unit.
    pub(super) fn unit(&self, name: &str) -> PathBuf {
        self.units.join(name)
    }

    /// Returns the path of a unit's polkit rule. Each unit has its own rule, installed and removed with it.
    pub(super) fn rule(&self, unit: &str) -> PathBuf {
        self.polkit.join(format!("50-{}.rules", unit.trim_end_matches(".service")))
    }

    /// Returns the path at which an earlier `init` wrote one rule for all units. That rule allows any similar name, so it is
    /// removed.
    pub(super) fn rule_of_all(&self) -> PathBuf {
        self.polkit.join("50-decnet.rules")
    }
}

/// Returns the path at which another installation's unit is saved while a unit of `decnet init` replaces it.
pub(super) fn saved(unit: &Path) -> PathBuf {
    let mut name = unit.as_os_str().to_owned();
    name.push(".before-decnet-init");
    name.into()
}
