//! What is to be done, as values: made from what was asked for and what is there, without touching anything.

use std::path::PathBuf;

use super::host::{Host, TARGET};
use super::layout::Layout;
use super::templates::{Templates, Variables};

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
    /// Leave it, whoever wrote it.
    Keep,
    /// Put ours in its place, and keep another's beside it.
    Replace,
}

/// What was asked for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) layout: Layout,
    pub(super) variables: Variables,
    /// Services to touch; empty for all.
    pub(super) only: Vec<String>,
    pub(super) force: bool,
    pub(super) start: bool,
    pub(super) purge: bool,
}

/// How to install.
pub(super) fn install(wanted: &Wanted, host: &Host, templates: &Templates) -> Vec<Step> {
    let layout = &wanted.layout;
    let mut steps = vec![
        directory(&layout.settings, 0o755, Owner::Root),
        shared(wanted, templates, "sysusers", &layout.sysusers, 0o644, Owner::Root),
        step(accounts(wanted), Action::MakeAccounts),
        directory(&layout.data, 0o750, Owner::Service),
        shared(wanted, templates, "tmpfiles", &layout.tmpfiles, 0o644, Owner::Root),
        shared(wanted, templates, "logrotate", &layout.logrotate, 0o644, Owner::Root),
    ];
    let mut ini = shared(wanted, templates, "ini", &layout.ini, 0o640, Owner::Group);
    if let Action::Write { existing, .. } = &mut ini.action {
        // It is the operator's, also with --force.
        *existing = Existing::Keep;
    }
    steps.push(ini);
    let (mut written, mut replaced) = (Vec::new(), Vec::new());
    for (name, problem) in templates.services.iter().filter(|(name, _)| wanted.touches(name)) {
        let rendered = problem.clone().map_or_else(|| templates.render(name, &wanted.variables), Err);
        if let Ok(text) = &rendered {
            written.push(name.clone());
            replaced.extend(host.differs(name, text).then(|| name.clone()));
        }
        let existing = if wanted.replaces_units() { Existing::Replace } else { Existing::Keep };
        let has_unit = rendered.is_ok() && (wanted.replaces_units() || !host.has_anothers(name));
        steps.push(write(layout.unit(name), rendered, 0o644, Owner::Root, existing));
        steps.extend(has_unit.then(|| rule(wanted, templates, name, existing)));
    }
    steps.push(target(wanted, host, templates, &written));
    let has_target = wanted.shared() == Existing::Replace || !host.has_anothers(TARGET);
    steps.extend(has_target.then(|| rule(wanted, templates, TARGET, wanted.shared())));
    steps.extend(started(wanted, host, &written, &replaced));
    steps
}

/// How to take it away again.
pub(super) fn remove(wanted: &Wanted, host: &Host) -> Vec<Step> {
    let layout = &wanted.layout;
    let ours: Vec<_> = host.units.iter().filter(|unit| unit.is_ours && wanted.touches(&unit.name)).collect();
    let names: Vec<_> = ours.iter().map(|unit| unit.name.clone()).collect();
    let mut steps = Vec::new();
    if !names.is_empty() {
        let target = wanted.only.is_empty().then(|| "decnet.target".to_owned());
        let stopped = target.into_iter().chain(names.clone());
        steps.push(systemctl(host, ["disable", "--now"].map(str::to_owned).into_iter().chain(stopped)));
    }
    // A rule never outlives its unit.
    let files = |name: &str| [layout.rule(name), layout.unit(name)].map(remove_file);
    steps.extend(ours.iter().flat_map(|unit| files(&unit.name)));
    if wanted.only.is_empty() {
        let shared = [&layout.tmpfiles, &layout.sysusers, &layout.logrotate];
        steps.extend(files(TARGET));
        steps.extend(shared.map(|path| remove_file(path.clone())));
    }
    steps.push(systemctl(host, ["daemon-reload".to_owned()]));
    let restored: Vec<_> = ours.iter().filter(|unit| unit.has_saved).map(|unit| unit.name.clone()).collect();
    if !restored.is_empty() && wanted.start {
        let enabled = ["enable", "--now"].map(str::to_owned).into_iter();
        steps.push(systemctl(host, enabled.chain(restored)));
    }
    if wanted.purge {
        steps.extend(purge(wanted, host));
    }
    steps
}

impl Wanted {
    pub(super) fn touches(&self, service: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == service)
    }

    /// A unit that was named is replaced, whoever wrote what is there; all of them only by force.
    fn replaces_units(&self) -> bool {
        self.force || !self.only.is_empty()
    }

    /// A file that several services share may be another's where only some are touched.
    fn shared(&self) -> Existing {
        if self.force && self.only.is_empty() { Existing::Replace } else { Existing::Keep }
    }
}

fn step(what: impl Into<String>, action: Action) -> Step {
    Step { what: what.into(), action }
}

fn accounts(wanted: &Wanted) -> String {
    format!("user {} and group {}", wanted.variables.user, wanted.variables.group)
}

fn directory(path: &std::path::Path, mode: u32, owner: Owner) -> Step {
    step(path.display().to_string(), Action::Directory { path: path.to_owned(), mode, owner })
}

fn remove_file(path: PathBuf) -> Step {
    step(path.display().to_string(), Action::Remove { path })
}

fn write(path: PathBuf, text: Result<String, String>, mode: u32, owner: Owner, existing: Existing) -> Step {
    let what = path.display().to_string();
    step(what, text.map_or_else(Action::Fail, |text| Action::Write { path, text, mode, owner, existing }))
}

/// A file that several services share.
fn shared(
    wanted: &Wanted,
    templates: &Templates,
    name: &str,
    path: &std::path::Path,
    mode: u32,
    owner: Owner,
) -> Step {
    let text = templates.render(name, &wanted.variables);
    write(path.to_owned(), text, mode, owner, wanted.shared())
}

/// Who may start and stop a unit.
fn rule(wanted: &Wanted, templates: &Templates, unit: &str, existing: Existing) -> Step {
    let mut variables = wanted.variables.clone();
    unit.clone_into(&mut variables.unit);
    let text = templates.render("polkit", &variables);
    write(wanted.layout.rule(unit), text, 0o644, Owner::Root, existing)
}

/// `decnet.target` wants what was written and what was there.
fn target(wanted: &Wanted, host: &Host, templates: &Templates, written: &[String]) -> Step {
    let mut services: Vec<_> = host.units.iter().map(|unit| unit.name.clone()).collect();
    services.extend_from_slice(written);
    services.sort();
    services.dedup();
    let mut variables = wanted.variables.clone();
    variables.services = services;
    let text = templates.render(TARGET, &variables);
    write(wanted.layout.unit(TARGET), text, 0o644, Owner::Root, wanted.shared())
}

fn started(wanted: &Wanted, host: &Host, written: &[String], replaced: &[String]) -> Vec<Step> {
    let tmpfiles = wanted.layout.tmpfiles.display().to_string();
    let mut steps = vec![
        run(host, "systemd-tmpfiles", ["--create".to_owned(), tmpfiles]),
        systemctl(host, ["daemon-reload".to_owned()]),
    ];
    if !wanted.start {
        steps.push(step(
            "start",
            Action::Skip("--no-start; later: systemctl enable --now decnet.target".into()),
        ));
    } else if wanted.only.is_empty() {
        let all = ["enable", "--now", "decnet.target"].map(str::to_owned);
        steps.push(systemctl(host, all.into_iter().chain(written.iter().cloned())));
    } else if !written.is_empty() {
        let now = ["enable", "--now"].map(str::to_owned).into_iter();
        steps.push(systemctl(host, now.chain(written.iter().cloned())));
        // What runs there now is another's, or as another version would have it.
        if !replaced.is_empty() {
            let restart = std::iter::once("restart".to_owned());
            steps.push(systemctl(host, restart.chain(replaced.iter().cloned())));
        }
    }
    steps
}

/// Data and accounts go with the last who uses them.
fn purge(wanted: &Wanted, host: &Host) -> Vec<Step> {
    let layout = &wanted.layout;
    let others: Vec<_> = host.foreign().collect();
    if !others.is_empty() || !wanted.only.is_empty() {
        let users = if others.is_empty() { "the other services".to_owned() } else { others.join(", ") };
        return vec![step("purge", Action::Skip(format!("data and user stay: {users} still need them")))];
    }
    let trees = [&layout.settings, &layout.data, &layout.runtime];
    let mut steps: Vec<_> =
        trees.map(|path| step(path.display().to_string(), Action::RemoveTree { path: path.clone() })).into();
    steps.push(step(accounts(wanted), Action::RemoveAccounts));
    steps
}

fn systemctl(host: &Host, arguments: impl IntoIterator<Item = String>) -> Step {
    run(host, "systemctl", arguments)
}

fn run(host: &Host, program: &'static str, arguments: impl IntoIterator<Item = String>) -> Step {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let what = format!("{program} {}", arguments.join(" "));
    if host.has_systemd {
        step(what, Action::Run { program, arguments })
    } else {
        step(what, Action::Skip("systemd does not run this system".into()))
    }
}

#[cfg(test)]
mod tests;
