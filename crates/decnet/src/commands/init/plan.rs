//! What is to be done, as values: made from what was asked for and what is there, without touching anything.

use std::path::PathBuf;

use super::host::Host;
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
        shared(wanted, templates, "polkit", &layout.polkit, 0o644, Owner::Root),
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
        steps.push(write(layout.unit(name), rendered, 0o644, Owner::Root, existing));
    }
    steps.push(target(wanted, host, templates, &written));
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
    steps.extend(ours.iter().map(|unit| remove_file(layout.unit(&unit.name))));
    if wanted.only.is_empty() {
        let shared = [&layout.polkit, &layout.tmpfiles, &layout.sysusers, &layout.logrotate];
        steps.push(remove_file(layout.unit("decnet.target")));
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

/// A file that several services share: where only some are touched, what is there may be another's.
fn shared(
    wanted: &Wanted,
    templates: &Templates,
    name: &str,
    path: &std::path::Path,
    mode: u32,
    owner: Owner,
) -> Step {
    let renews = wanted.force && wanted.only.is_empty();
    let existing = if renews { Existing::Replace } else { Existing::Keep };
    write(path.to_owned(), templates.render(name, &wanted.variables), mode, owner, existing)
}

/// `decnet.target` wants what was written and what was there.
fn target(wanted: &Wanted, host: &Host, templates: &Templates, written: &[String]) -> Step {
    let mut services: Vec<_> = host.units.iter().map(|unit| unit.name.clone()).collect();
    services.extend_from_slice(written);
    services.sort();
    services.dedup();
    let mut variables = wanted.variables.clone();
    variables.services = services;
    let renews = wanted.force && wanted.only.is_empty();
    let existing = if renews { Existing::Replace } else { Existing::Keep };
    let text = templates.render("decnet.target", &variables);
    write(wanted.layout.unit("decnet.target"), text, 0o644, Owner::Root, existing)
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
mod tests {
    use std::path::Path;

    use super::super::host::Unit;
    use super::*;

    fn wanted(only: &[&str]) -> Wanted {
        let text = |text: &str| text.to_owned();
        Wanted {
            layout: Layout::new(Path::new("/"), false),
            variables: Variables::new(
                text("/opt/decnet"),
                text("/opt/decnet/.venv"),
                text("decnet"),
                text("decnet"),
                text("/usr/bin/decnet"),
            ),
            only: only.iter().map(ToString::to_string).collect(),
            force: false,
            start: true,
            purge: false,
        }
    }

    fn unit(name: &str, is_ours: bool, has_saved: bool) -> Unit {
        Unit { name: name.into(), text: String::new(), is_ours, has_saved }
    }

    fn host(units: Vec<Unit>) -> Host {
        Host { has_systemd: true, units }
    }

    fn commands(steps: &[Step]) -> Vec<&str> {
        let runs = steps.iter().filter(|step| matches!(step.action, Action::Run { .. }));
        runs.map(|step| step.what.as_str()).collect()
    }

    fn written<'a>(steps: &'a [Step], end: &str) -> (&'a str, Existing) {
        steps
            .iter()
            .find_map(|step| match &step.action {
                Action::Write { path, text, existing, .. } if path.ends_with(end) => {
                    Some((text.as_str(), *existing))
                }
                _ => None,
            })
            .unwrap()
    }

    #[test]
    fn the_target_wants_every_service_that_is_there_or_comes() {
        let templates = Templates::load(None).unwrap();
        let steps =
            install(&wanted(&[]), &host(vec![unit("decnet-prober.service", false, false)]), &templates);
        let (target, _) = written(&steps, "decnet.target");
        assert!(target.contains(
            "Wants=decnet-api.service decnet-bus.service decnet-prober.service decnet-webhook.service\n"
        ));
        assert_eq!(
            commands(&steps),
            [
                "systemd-tmpfiles --create /etc/tmpfiles.d/decnet.conf",
                "systemctl daemon-reload",
                "systemctl enable --now decnet.target decnet-api.service decnet-bus.service decnet-webhook.service"
            ]
        );
    }

    #[test]
    fn one_service_alone_is_replaced_and_nothing_else_is() {
        let templates = Templates::load(None).unwrap();
        let there = host(vec![
            unit("decnet-bus.service", false, false),
            unit("decnet-webhook.service", false, false),
        ]);
        let mut wanted = wanted(&["decnet-webhook.service"]);
        wanted.force = true;
        let steps = install(&wanted, &there, &templates);
        let (unit, existing) = written(&steps, "decnet-webhook.service");
        assert_eq!(existing, Existing::Replace);
        for kept in ["decnet.target", "50-decnet.rules", "decnet.ini", "tmpfiles.d/decnet.conf"] {
            assert_eq!(written(&steps, kept).1, Existing::Keep, "{kept}");
        }
        assert!(!steps.iter().any(|step| step.what.ends_with("decnet-bus.service")));
        assert_eq!(
            commands(&steps)[2..],
            ["systemctl enable --now decnet-webhook.service", "systemctl restart decnet-webhook.service"]
        );
        let as_it_should_be =
            Unit { text: unit.to_owned(), ..self::unit("decnet-webhook.service", true, true) };
        let again = install(&wanted, &host(vec![as_it_should_be]), &templates);
        assert_eq!(commands(&again)[2..], ["systemctl enable --now decnet-webhook.service"]);
    }

    #[test]
    fn what_is_taken_away_is_ours_and_data_stays_while_another_needs_it() {
        let there =
            host(vec![unit("decnet-bus.service", false, false), unit("decnet-webhook.service", true, true)]);
        let mut wanted = wanted(&[]);
        wanted.purge = true;
        let steps = remove(&wanted, &there);
        assert_eq!(
            commands(&steps),
            [
                "systemctl disable --now decnet.target decnet-webhook.service",
                "systemctl daemon-reload",
                "systemctl enable --now decnet-webhook.service"
            ]
        );
        assert!(
            !steps
                .iter()
                .any(|step| matches!(step.action, Action::RemoveTree { .. } | Action::RemoveAccounts))
        );
        assert!(steps.iter().any(|step| step.what == "purge" && matches!(step.action, Action::Skip(_))));
        let alone = remove(&wanted, &host(vec![unit("decnet-webhook.service", true, false)]));
        let trees = alone.iter().filter(|step| matches!(step.action, Action::RemoveTree { .. }));
        assert_eq!(
            trees.map(|step| step.what.as_str()).collect::<Vec<_>>(),
            ["/etc/decnet", "/var/lib/decnet", "/run/decnet"]
        );
    }

    #[test]
    fn a_template_that_fails_stops_no_other() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("decnet-bus.service.j2"), "User={{ usr }}").unwrap();
        let templates = Templates::load(Some(dir.path())).unwrap();
        let steps = install(&wanted(&[]), &host(Vec::new()), &templates);
        let failed = steps.iter().filter(|step| matches!(step.action, Action::Fail(_)));
        assert_eq!(
            failed.map(|step| step.what.as_str()).collect::<Vec<_>>(),
            ["/etc/systemd/system/decnet-bus.service"]
        );
        assert!(
            written(&steps, "decnet.target").0.contains("Wants=decnet-api.service decnet-webhook.service\n")
        );
    }
}
