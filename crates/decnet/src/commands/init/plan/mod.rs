//! What is to be done, as values: made from what was asked for and what is there, without touching anything.

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
    /// What it is about.
    pub(super) what: String,
    pub(super) action: Action,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Makes the system user and group, where they are missing.
    MakeAccounts,
    Directory {
        path: PathBuf,
        mode: u32,
        owner: Owner,
    },
    Write {
        path: PathBuf,
        text: String,
        mode: u32,
        owner: Owner,
        existing: Existing,
    },
    /// Removes a file, if it is ours, and puts back what it took the place of.
    Remove {
        path: PathBuf,
    },
    /// Removes a directory with all that is in it.
    RemoveTree {
        path: PathBuf,
    },
    RemoveAccounts,
    Run {
        program: &'static str,
        arguments: Vec<String>,
    },
    /// Nothing, for this reason.
    Skip(String),
    /// Nothing can be done: this is why.
    Fail(String),
}

/// Who owns what is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Root,
    /// root, and the group of the services.
    Group,
    /// User and group of the services.
    Service,
}

/// What to do about a file that is there and differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    /// Leave it: it is the operator's from the first day.
    Settings,
    /// Leave it: services have it that are not touched.
    Shared,
    /// Leave it, until `--force`.
    Keep,
    /// Put ours in the place of another's, which is kept beside it; leave one of ours that was changed, until `--force`.
    TakeOver,
    /// Put ours in its place, and keep another's beside it.
    Renew,
}

/// What was asked for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) layout: Layout,
    /// Of what all services share.
    pub(super) variables: Variables,
    /// Of the services that are touched, by name.
    pub(super) services: BTreeMap<String, Variables>,
    /// Services to touch; empty for all.
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

    /// Of a unit: one that was named is put in the place of another's.
    fn existing(&self) -> Existing {
        match (self.force, self.only.is_empty()) {
            (true, _) => Existing::Renew,
            (false, false) => Existing::TakeOver,
            (false, true) => Existing::Keep,
        }
    }

    /// Of a file that several services share.
    fn existing_shared(&self) -> Existing {
        if self.only.is_empty() { self.existing() } else { Existing::Shared }
    }
}

fn step(what: impl Into<String>, action: Action) -> Step {
    Step { what: what.into(), action }
}

/// Removes a file, where it is ours.
fn removal(path: PathBuf) -> Step {
    step(shown(&path), Action::Remove { path })
}

fn accounts(wanted: &Wanted) -> String {
    format!("user {} and group {}", wanted.variables.user, wanted.variables.group)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn systemctl<'a>(host: &Host, verb: &[&'a str], units: impl IntoIterator<Item = &'a str>) -> Step {
    run(host, "systemctl", verb.iter().copied().chain(units))
}

fn run<'a>(host: &Host, program: &'static str, arguments: impl IntoIterator<Item = &'a str>) -> Step {
    let arguments: Vec<_> = arguments.into_iter().map(str::to_owned).collect();
    let what = format!("{program} {}", arguments.join(" "));
    if host.has_systemd {
        step(what, Action::Run { program, arguments })
    } else {
        step(what, Action::Skip("systemd does not run this system".into()))
    }
}
