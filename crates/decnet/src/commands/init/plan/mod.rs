//! The plan: the steps, as values, that lead from the existing installation to the requested one. Planning changes nothing.

mod install;
mod remove;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(super) use self::install::install;
pub(super) use self::remove::remove;
use super::host::Host;
use super::layout::Layout;
use super::templates::Variables;

/// One line of the checklist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// The file, command or account concerned.
    pub(super) what: String,
    pub(super) action: Action,
}

/// The action of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Creates the system user and group if they do not exist.
    CreateAccounts,
    Directory {
        path: PathBuf,
        mode: u32,
        owner: Owner,
    },
    Write {
        path: PathBuf,
        text: String,
        existing: Existing,
    },
    /// Removes a file if init wrote it, and restores the file that it replaced.
    Remove(PathBuf),
    /// Removes a directory with its contents.
    RemoveTree(PathBuf),
    RemoveAccounts,
    /// Runs a program with these arguments.
    Run(&'static str, Vec<String>),
    /// Does nothing, for this reason.
    Skip(String),
    /// Fails, for this reason.
    Fail(String),
}

/// The owner of a new file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Root,
    /// The user root and the group of the services.
    Group,
    /// The user and the group of the services.
    Service,
}

/// The treatment of an existing file that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    /// The file is kept: settings belong to the operator once they are written.
    Settings,
    /// The file is kept: other services use it too.
    Shared,
    /// The file is kept unless `--force` is given.
    Keep,
    /// A file that init did not write is saved and replaced. A changed file of init is kept unless `--force` is given.
    TakeOver,
    /// The file is replaced. If init did not write it, the original is saved first.
    Renew,
}

impl Existing {
    /// Returns the mode and the owner of a written file. Other users cannot read the settings, which name hosts and networks.
    pub(super) fn access(self) -> (u32, Owner) {
        if self == Self::Settings { (0o640, Owner::Group) } else { (0o644, Owner::Root) }
    }

    /// Returns why an existing file that differs is kept, if it is.
    pub(super) fn reason_to_keep(self, is_ours: bool) -> Option<&'static str> {
        match (self, is_ours) {
            (Self::Settings, _) => Some("belongs to the operator; kept"),
            (Self::Shared, true) => Some("is shared with other services; kept"),
            (Self::Shared | Self::Keep, false) => Some("was not written by decnet init; kept"),
            (Self::Keep | Self::TakeOver, true) => Some("differs; --force overwrites it"),
            (Self::TakeOver, false) | (Self::Renew, _) => None,
        }
    }
}

/// The requested installation or removal.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) layout: Layout,
    /// The variables of files that all services share.
    pub(super) variables: Variables,
    /// The variables of the affected services, by name.
    pub(super) services: BTreeMap<String, Variables>,
    /// The affected services; empty for all.
    pub(super) only: Vec<String>,
    pub(super) force: bool,
    pub(super) start: bool,
    pub(super) purge: bool,
}

impl Wanted {
    pub(super) fn touches(&self, service: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == service)
    }

    fn variables(&self, service: &str) -> &Variables {
        self.services.get(service).unwrap_or(&self.variables)
    }

    /// Returns the treatment of existing units: with `--only`, other installations' units are replaced.
    fn existing(&self) -> Existing {
        match (self.force, self.only.is_empty()) {
            (true, _) => Existing::Renew,
            (false, false) => Existing::TakeOver,
            (false, true) => Existing::Keep,
        }
    }

    /// Returns the treatment of existing files that several services share.
    fn existing_shared(&self) -> Existing {
        if self.only.is_empty() { self.existing() } else { Existing::Shared }
    }
}

fn step(what: impl Into<String>, action: Action) -> Step {
    Step { what: what.into(), action }
}

/// Returns the step that removes a file if init wrote it.
fn removal(path: PathBuf) -> Step {
    step(shown(&path), Action::Remove(path))
}

fn accounts(wanted: &Wanted) -> String {
    format!("user {} and group {}", wanted.variables.user, wanted.variables.group)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Returns the step that applies a command of systemctl to units, if there are any.
fn systemctl<'a>(host: &Host, command: &[&'a str], units: impl IntoIterator<Item = &'a str>) -> Option<Step> {
    let units: Vec<_> = units.into_iter().collect();
    (!units.is_empty()).then(|| run(host, "systemctl", command.iter().copied().chain(units)))
}

fn run<'a>(host: &Host, program: &'static str, arguments: impl IntoIterator<Item = &'a str>) -> Step {
    let arguments: Vec<_> = arguments.into_iter().map(str::to_owned).collect();
    let what = format!("{program} {}", arguments.join(" "));
    if host.has_systemd {
        step(what, Action::Run(program, arguments))
    } else {
        step(what, Action::Skip("systemd is not running on this system".into()))
    }
}
