//! The plan of an installation.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::host::{Host, TARGET, Unit};
use super::super::templates::{Templates, Variables};
use super::{Action, Existing, Owner, Step, Wanted, accounts, removal, run, shown, step, systemctl};

/// The key with which a target pulls in services.
const WANTS: &str = "Wants=";

/// The names of the services that change. Unchanged services keep running.
#[derive(Debug, Default)]
struct Changes<'a> {
    /// Services without an existing unit.
    new: Vec<&'a str>,
    /// Services whose existing unit was not written by init.
    taken_over: Vec<&'a str>,
    /// Services whose existing unit was written by init, with a different text.
    renewed: Vec<&'a str>,
}

/// The inputs of a plan.
struct Planner<'a> {
    wanted: &'a Wanted,
    host: &'a Host,
    templates: &'a Templates,
}

/// Returns the steps, in order.
pub(in super::super) fn install(wanted: &Wanted, host: &Host, templates: &Templates) -> Vec<Step> {
    let planner = Planner { wanted, host, templates };
    let layout = &wanted.layout;
    let shared = |name, path: &Path| {
        let text = templates.render(name, &wanted.variables);
        write(path.to_owned(), text, wanted.existing_shared())
    };
    let mut steps = vec![
        directory(&layout.settings, 0o755, Owner::Root),
        shared("sysusers", &layout.sysusers),
        step(accounts(wanted), Action::CreateAccounts),
        directory(&layout.data, 0o700, Owner::Service),
        directory(&layout.logs, 0o750, Owner::Service),
        shared("tmpfiles", &layout.tmpfiles),
        shared("logrotate", &layout.logrotate),
        write(layout.ini.clone(), templates.render("ini", &wanted.variables), Existing::Settings),
    ];
    let (mut written, mut changes) = (Vec::new(), Changes::default());
    for (name, problem) in templates.services.iter().filter(|(name, _)| wanted.touches(name)) {
        let rendered = templates.render(name, wanted.variables(name));
        let rendered = problem.clone().map_or(rendered, Err);
        if let Ok(text) = &rendered {
            written.push(name.as_str());
            changes.add(name, text, host, wanted.existing());
        }
        steps.extend(planner.unit(name, rendered, wanted.existing()));
    }
    let (text, existing) = planner.target(&written, &changes.new);
    steps.extend(planner.unit(TARGET, text, existing));
    steps.push(removal(layout.rule_of_all()));
    steps.extend(planner.started(&changes));
    steps
}

impl<'a> Changes<'a> {
    fn add(&mut self, name: &'a str, text: &str, host: &Host, existing: Existing) {
        match host.unit(name) {
            None => self.new.push(name),
            Some(unit) if !unit.is_packages && unit.text == text => {}
            Some(unit) if is_kept(unit, existing) => {}
            Some(unit) if unit.is_ours => self.renewed.push(name),
            Some(_) => self.taken_over.push(name),
        }
    }
}

/// Returns whether an existing unit with a different text is kept. A package's unit is overridden by a unit in /etc.
fn is_kept(unit: &Unit, existing: Existing) -> bool {
    !unit.is_packages && existing.reason_to_keep(unit.is_ours).is_some()
}

fn directory(path: &Path, mode: u32, owner: Owner) -> Step {
    step(shown(path), Action::Directory { path: path.to_owned(), mode, owner })
}

fn write(path: PathBuf, text: Result<String, String>, existing: Existing) -> Step {
    let what = shown(&path);
    step(what, text.map_or_else(Action::Fail, |text| Action::Write { path, text, existing }))
}

impl Planner<'_> {
    /// Returns the steps for a unit and its polkit rule. A unit of another installation that is kept gets no rule.
    fn unit(&self, name: &str, text: Result<String, String>, existing: Existing) -> Vec<Step> {
        let Self { wanted, host, templates } = self;
        let is_foreign_kept = host.unit(name).is_some_and(|unit| !unit.is_ours && is_kept(unit, existing));
        let has_rule = text.is_ok() && !is_foreign_kept;
        let mut steps = vec![write(wanted.layout.unit(name), text, existing)];
        if has_rule {
            let variables = Variables { unit: name.to_owned(), ..wanted.variables(name).clone() };
            steps.push(write(wanted.layout.rule(name), templates.render("polkit", &variables), existing));
        }
        steps
    }

    /// Returns the text of `decnet.target` and the treatment of an existing target. The target wants all written and existing
    /// services. If a changed target of init is kept, only new services are added to it.
    fn target(&self, written: &[&str], new: &[&str]) -> (Result<String, String>, Existing) {
        let existing = self.wanted.existing_shared();
        let kept = self.host.target.as_ref().filter(|target| target.is_ours && is_kept(target, existing));
        if let Some(text) = kept.and_then(|target| with_wants(&target.text, new)) {
            return (Ok(text), Existing::Renew);
        }
        let existing_services = self.host.units.iter().map(|unit| unit.name.as_str());
        let services: BTreeSet<_> =
            existing_services.chain(written.iter().copied()).map(str::to_owned).collect();
        let services = services.into_iter().collect();
        let variables = Variables { services, ..self.wanted.variables.clone() };
        (self.templates.render(TARGET, &variables), existing)
    }

    fn started(&self, changes: &Changes<'_>) -> Vec<Step> {
        let Self { wanted, host, .. } = self;
        let tmpfiles = shown(&wanted.layout.tmpfiles);
        let mut steps = vec![
            run(host, "systemd-tmpfiles", ["--create", &tmpfiles]),
            run(host, "systemctl", ["daemon-reload"]),
        ];
        let Changes { new, taken_over, renewed } = changes;
        let target = host.target.is_none().then_some(TARGET);
        let enabled: Vec<_> = target.into_iter().chain(new.iter().chain(taken_over).copied()).collect();
        if !wanted.start {
            let units = if enabled.is_empty() { TARGET.to_owned() } else { enabled.join(" ") };
            let why = format!("--no-start is set; to start later: systemctl enable --now {units}");
            steps.push(step("start", Action::Skip(why)));
            return steps;
        }
        steps.extend(systemctl(host, &["enable", "--now"], enabled));
        // The running process is still that of the replaced unit.
        steps.extend(systemctl(host, &["restart"], taken_over.iter().copied()));
        if wanted.only.is_empty() && !renewed.is_empty() {
            // The operator chooses the time: a bus holds events in memory.
            let units = renewed.join(" ");
            let why = format!("running services keep their old unit until: systemctl restart {units}");
            steps.push(step("restart", Action::Skip(why)));
        } else {
            steps.extend(systemctl(host, &["try-restart"], renewed.iter().copied()));
        }
        steps
    }
}

/// Adds services to a target's `Wants=`; returns `None` if it has all of them, or no such line.
fn with_wants(text: &str, new: &[&str]) -> Option<String> {
    let line = text.lines().rfind(|line| line.starts_with(WANTS))?;
    let wanted: BTreeSet<&str> = line[WANTS.len()..].split_whitespace().collect();
    let all: BTreeSet<&str> = wanted.iter().chain(new).copied().collect();
    let renewed = format!("{WANTS}{}", all.iter().copied().collect::<Vec<_>>().join(" "));
    (all.len() > wanted.len()).then(|| text.replacen(line, &renewed, 1))
}
