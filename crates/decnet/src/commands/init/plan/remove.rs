//! The plan of a removal.

use super::super::host::{Host, TARGET, Unit};
use super::{Action, Step, Wanted, accounts, removal, run, shown, step, systemctl};

/// Returns the steps, in order.
pub(in super::super) fn remove(wanted: &Wanted, host: &Host) -> Vec<Step> {
    let layout = &wanted.layout;
    let is_ours = |unit: &&Unit| unit.is_ours && !unit.is_packages;
    let services: Vec<_> =
        host.units.iter().filter(is_ours).filter(|unit| wanted.touches(&unit.name)).collect();
    let target = host.target.as_ref().filter(is_ours).filter(|_| wanted.only.is_empty());
    let names: Vec<_> = services.iter().map(|unit| unit.name.as_str()).collect();
    let mut steps: Vec<_> = systemctl(host, &["disable", "--now"], names).into_iter().collect();
    // Stopping the target would also stop other installations' services that are part of it.
    let command: &[_] = if host.others().next().is_none() { &["disable", "--now"] } else { &["disable"] };
    steps.extend(systemctl(host, command, target.map(|_| TARGET)));
    // The rule is removed before its unit, so that it never exists without it.
    let files = |name: &str| [layout.rule(name), layout.unit(name)].map(removal);
    steps.extend(services.iter().flat_map(|unit| files(&unit.name)));
    steps.push(removal(layout.rule_of_all()));
    if wanted.only.is_empty() {
        steps.extend(files(TARGET));
        steps.extend([&layout.tmpfiles, &layout.sysusers].map(|path| removal(path.clone())));
        // The logrotate file of a package is at the same path.
        steps.extend((!host.has_package).then(|| removal(layout.logrotate.clone())));
    }
    steps.push(run(host, "systemctl", ["daemon-reload"]));
    let restored = services.into_iter().chain(target).filter(|unit| unit.hides_another && wanted.start);
    steps.extend(systemctl(host, &["enable", "--now"], restored.map(|unit| unit.name.as_str())));
    if wanted.purge {
        steps.extend(purge(wanted, host));
    }
    steps
}

/// Returns the steps that remove data and accounts, unless other services still use them.
fn purge(wanted: &Wanted, host: &Host) -> Vec<Step> {
    let layout = &wanted.layout;
    let others: Vec<_> = host.others().collect();
    if !others.is_empty() || !wanted.only.is_empty() {
        let users = if others.is_empty() { "the other services".to_owned() } else { others.join(", ") };
        return vec![step("purge", Action::Skip(format!("data and user are kept: {users} still need them")))];
    }
    let trees = [&layout.settings, &layout.data, &layout.logs, &layout.runtime];
    let mut steps: Vec<_> = trees.map(|path| step(shown(path), Action::RemoveTree(path.clone()))).into();
    steps.push(step(accounts(wanted), Action::RemoveAccounts));
    steps
}
