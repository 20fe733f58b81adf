//! Tests of the plans for several kinds of hosts.

use super::super::host::{TARGET, Unit};
use super::super::templates::Templates;
use super::*;

fn wanted(only: &[&str]) -> Wanted {
    let text = |text: &str| text.to_owned();
    Wanted {
        layout: Layout::new(Path::new("/"), false),
        variables: Variables {
            install_dir: text("/opt/decnet"),
            venv_dir: text("/opt/decnet/.venv"),
            user: text("decnet"),
            group: text("decnet"),
            decnet: text("/usr/bin/decnet"),
            ..Variables::default()
        },
        services: BTreeMap::new(),
        only: only.iter().map(ToString::to_string).collect(),
        force: false,
        start: true,
        purge: false,
    }
}

fn foreign(name: &str) -> Unit {
    let (name, text) = (name.to_owned(), "[Service]\n".to_owned());
    Unit { name, text, is_ours: false, is_packages: false, hides_another: false }
}

/// Returns a unit that init wrote, whose text differs from what would be written.
fn own(name: &str) -> Unit {
    Unit { is_ours: true, ..foreign(name) }
}

/// Returns a host on which DECNET's systemd target is installed.
fn host(units: Vec<Unit>) -> Host {
    Host { has_systemd: true, has_package: false, units, target: Some(foreign(TARGET)) }
}

fn planned(wanted: &Wanted, host: &Host) -> Vec<Step> {
    install(wanted, host, &Templates::load(None, None).unwrap())
}

/// Returns the commands that enable, start or stop units.
fn commands(steps: &[Step]) -> Vec<&str> {
    let runs = steps.iter().filter(|step| matches!(step.action, Action::Run { .. }));
    let what = runs.map(|step| step.what.as_str());
    what.filter(|what| !what.contains("tmpfiles") && !what.ends_with("daemon-reload")).collect()
}

fn written<'a>(steps: &'a [Step], end: &str) -> (&'a str, Existing) {
    let text = |step: &'a Step| match &step.action {
        Action::Write { path, text, existing, .. } if path.ends_with(end) => Some((text.as_str(), *existing)),
        _ => None,
    };
    steps.iter().find_map(text).unwrap()
}

#[test]
fn new_host_gets_and_starts_everything() {
    let existing = Host { has_systemd: true, ..Host::default() };
    let steps = planned(&wanted(&[]), &existing);
    assert_eq!(
        commands(&steps),
        ["systemctl enable --now decnet.target decnet-api.service decnet-bus.service decnet-webhook.service"]
    );
    let what = |part: &str| steps.iter().position(|step| step.what.contains(part)).unwrap();
    assert!(what("tmpfiles --create") < what("daemon-reload"), "{steps:?}");
    // A rule never exists without its unit.
    assert!(what("system/decnet-bus.service") < what("50-decnet-bus.rules"), "{steps:?}");
}

#[test]
fn target_wants_all_existing_and_new_services() {
    let steps = planned(&wanted(&[]), &host(vec![foreign("decnet-prober.service")]));
    let (target, _) = written(&steps, TARGET);
    assert!(target.contains(
        "Wants=decnet-api.service decnet-bus.service decnet-prober.service decnet-webhook.service\n"
    ));
}

#[test]
fn changed_target_only_gets_new_services() {
    let changed = |wants: &str| format!("# Written by `decnet init`.\n[Unit]\n# mine\nWants={wants}\n");
    let target = |wants: &str| Some(Unit { text: changed(wants), ..own(TARGET) });
    let existing = vec![own("decnet-api.service"), own("decnet-bus.service")];
    // An operator has removed the API from it.
    let mut on = Host { target: target("decnet-bus.service"), ..host(existing.clone()) };
    for only in [&[][..], &["decnet-webhook.service"]] {
        let steps = planned(&wanted(only), &on);
        let (text, existing) = written(&steps, TARGET);
        assert_eq!(
            (text, existing),
            (&*changed("decnet-bus.service decnet-webhook.service"), Existing::Renew)
        );
    }
    on.units.push(own("decnet-webhook.service"));
    assert_eq!(written(&planned(&wanted(&[]), &on), TARGET).1, Existing::Keep, "no service is new");
    // A target of another installation is not changed.
    let steps = planned(&wanted(&["decnet-webhook.service"]), &host(existing));
    assert_eq!(written(&steps, TARGET).1, Existing::Shared);
}

#[test]
fn existing_services_are_not_enabled_or_started() {
    let mut existing = host(vec![own("decnet-api.service"), foreign("decnet-bus.service")]);
    let steps = planned(&wanted(&[]), &existing);
    assert_eq!(commands(&steps), ["systemctl enable --now decnet-webhook.service"]);
    existing.units.push(own("decnet-webhook.service"));
    assert_eq!(commands(&planned(&wanted(&[]), &existing)), [""; 0]);
    // A unit of another installation gets no rule of init.
    assert!(!steps.iter().any(|step| step.what.contains("50-decnet-bus.rules")));
}

#[test]
fn force_updates_units_without_restarting_our_own() {
    let mut wanted = wanted(&[]);
    wanted.force = true;
    let existing =
        host(vec![own("decnet-api.service"), own("decnet-bus.service"), foreign("decnet-webhook.service")]);
    let steps = planned(&wanted, &existing);
    assert_eq!(
        commands(&steps),
        ["systemctl enable --now decnet-webhook.service", "systemctl restart decnet-webhook.service"]
    );
    let skipped = steps.iter().find(|step| step.what == "restart").unwrap();
    let Action::Skip(why) = &skipped.action else { panic!("{skipped:?}") };
    assert!(why.ends_with("systemctl restart decnet-api.service decnet-bus.service"), "{why}");
}

#[test]
fn only_the_named_service_is_replaced() {
    let existing = host(vec![foreign("decnet-bus.service"), foreign("decnet-webhook.service")]);
    let mut wanted = wanted(&["decnet-webhook.service"]);
    let steps = planned(&wanted, &existing);
    assert_eq!(written(&steps, "decnet-webhook.service").1, Existing::TakeOver);
    assert_eq!(written(&steps, "50-decnet-webhook.rules").1, Existing::TakeOver);
    assert_eq!(written(&steps, "decnet.ini").1, Existing::Settings);
    for shared in [TARGET, "tmpfiles.d/decnet.conf"] {
        assert_eq!(written(&steps, shared).1, Existing::Shared, "{shared}");
    }
    assert!(!steps.iter().any(|step| step.what.contains("decnet-bus.")));
    let takes_over =
        ["systemctl enable --now decnet-webhook.service", "systemctl restart decnet-webhook.service"];
    assert_eq!(commands(&steps), takes_over);

    let (text, _) = written(&steps, "decnet-webhook.service");
    let up_to_date = Unit { text: text.to_owned(), ..own("decnet-webhook.service") };
    assert_eq!(commands(&planned(&wanted, &host(vec![up_to_date]))), [""; 0]);
    let edited = host(vec![own("decnet-webhook.service")]);
    assert_eq!(commands(&planned(&wanted, &edited)), [""; 0]);
    wanted.force = true;
    assert_eq!(commands(&planned(&wanted, &edited)), ["systemctl try-restart decnet-webhook.service"]);
}

#[test]
fn removal_keeps_other_units_and_the_data_they_need() {
    let moved = Unit { hides_another: true, ..own("decnet-webhook.service") };
    let mut wanted = wanted(&[]);
    wanted.purge = true;
    let keeps_data = |steps: &[Step]| {
        let removes_data =
            |step: &Step| matches!(step.action, Action::RemoveTree { .. } | Action::RemoveAccounts);
        assert!(!steps.iter().any(removes_data), "{steps:?}");
        assert!(steps.iter().any(|step| step.what == "purge" && matches!(step.action, Action::Skip(_))));
    };
    let steps = remove(&wanted, &host(vec![foreign("decnet-bus.service"), moved]));
    assert_eq!(
        commands(&steps),
        ["systemctl disable --now decnet-webhook.service", "systemctl enable --now decnet-webhook.service"]
    );
    keeps_data(&steps);
    let packages = Unit { is_packages: true, ..own("decnet-webhook.service") };
    let steps = remove(&wanted, &host(vec![packages]));
    assert_eq!(commands(&steps), [""; 0]);
    keeps_data(&steps);
}

#[test]
fn purging_the_last_service_removes_target_and_data() {
    let mut wanted = wanted(&[]);
    wanted.purge = true;
    let mut existing = host(vec![own("decnet-webhook.service")]);
    existing.target = Some(own(TARGET));
    let steps = remove(&wanted, &existing);
    assert_eq!(
        commands(&steps),
        ["systemctl disable --now decnet-webhook.service", "systemctl disable --now decnet.target"]
    );
    let trees = steps.iter().filter(|step| matches!(step.action, Action::RemoveTree { .. }));
    assert_eq!(
        trees.map(|step| step.what.as_str()).collect::<Vec<_>>(),
        ["/etc/decnet", "/var/lib/decnet", "/var/log/decnet", "/run/decnet"]
    );
    // Stopping the target would stop the other services, which are part of it.
    existing.units.push(foreign("decnet-prober.service"));
    assert!(commands(&remove(&wanted, &existing)).contains(&"systemctl disable decnet.target"));
}

#[test]
fn failed_template_does_not_stop_the_others() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("decnet-bus.service.j2"), "User={{ usr }}").unwrap();
    let templates = Templates::load(Some(dir.path()), None).unwrap();
    let existing = Host { has_systemd: true, ..Host::default() };
    let steps = install(&wanted(&[]), &existing, &templates);
    let failed = steps.iter().filter(|step| matches!(step.action, Action::Fail(_)));
    assert_eq!(
        failed.map(|step| step.what.as_str()).collect::<Vec<_>>(),
        ["/etc/systemd/system/decnet-bus.service"]
    );
    assert!(written(&steps, TARGET).0.contains("Wants=decnet-api.service decnet-webhook.service\n"));
    assert!(!steps.iter().any(|step| step.what.contains("50-decnet-bus.rules")));
}
