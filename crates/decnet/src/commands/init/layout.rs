//! Where everything goes.

use std::path::{Path, PathBuf};

use super::root::Root;
use crate::units::{ADMINISTRATORS, PACKAGES};

/// The places of an installation, all below its prefix.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) prefix: PathBuf,
    pub(super) units: PathBuf,
    /// Where packages have theirs, which those in `units` win over.
    pub(super) packages: Vec<PathBuf>,
    pub(super) tmpfiles: PathBuf,
    pub(super) sysusers: PathBuf,
    pub(super) polkit: PathBuf,
    pub(super) logrotate: PathBuf,
    pub(super) settings: PathBuf,
    pub(super) ini: PathBuf,
    pub(super) data: PathBuf,
    /// Where logs go that an operator sends to files.
    pub(super) logs: PathBuf,
    pub(super) runtime: PathBuf,
}

impl Layout {
    /// An administrator's, in `/etc`; or a package's (`vendor`), in `/usr`, which the administrator's overrides.
    pub(super) fn new(prefix: &Path, vendor: bool) -> Self {
        let either = |admin: &str, package: &str| below(prefix, if vendor { package } else { admin });
        Self {
            prefix: prefix.to_owned(),
            units: below(prefix, if vendor { PACKAGES[0] } else { ADMINISTRATORS }),
            packages: if vendor { Vec::new() } else { PACKAGES.map(|place| below(prefix, place)).into() },
            tmpfiles: either("/etc/tmpfiles.d/decnet.conf", "/usr/lib/tmpfiles.d/decnet.conf"),
            sysusers: either("/etc/sysusers.d/decnet.conf", "/usr/lib/sysusers.d/decnet.conf"),
            polkit: either("/etc/polkit-1/rules.d", "/usr/share/polkit-1/rules.d"),
            logrotate: below(prefix, "/etc/logrotate.d/decnet"),
            settings: below(prefix, "/etc/decnet"),
            ini: below(prefix, "/etc/decnet/decnet.ini"),
            data: below(prefix, "/var/lib/decnet"),
            logs: below(prefix, "/var/log/decnet"),
            runtime: below(prefix, "/run/decnet"),
        }
    }

    /// The directory below which all of it is.
    pub(super) fn root(&self) -> Root {
        Root::new(&self.prefix)
    }

    /// A unit's file.
    pub(super) fn unit(&self, name: &str) -> PathBuf {
        self.units.join(name)
    }

    /// The polkit rule of a unit: one each, so that it comes and goes with its unit.
    pub(super) fn rule(&self, unit: &str) -> PathBuf {
        self.polkit.join(format!("50-{}.rules", unit.trim_end_matches(".service")))
    }

    /// Where an earlier `init` had one rule for all units. It allows any name like theirs, so it must not stay.
    pub(super) fn rule_of_all(&self) -> PathBuf {
        self.polkit.join("50-decnet.rules")
    }

    /// A place named as the installed system will see it.
    pub(super) fn below(&self, path: &str) -> PathBuf {
        below(&self.prefix, path)
    }

    /// Is this the system that runs, and not an image of another one?
    pub(super) fn is_live(&self) -> bool {
        self.prefix == Path::new("/")
    }
}

/// Where the unit of another installation is kept while ours is in its place.
pub(super) fn saved(unit: &Path) -> PathBuf {
    let mut name = unit.as_os_str().to_owned();
    name.push(".before-decnet-init");
    name.into()
}

fn below(prefix: &Path, path: &str) -> PathBuf {
    prefix.join(path.trim_start_matches('/'))
}
