//! What is planned, for hosts of several kinds.

use super::super::host::{TARGET, Unit};
use super::super::templates::Templates;
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
        services: BTreeMap::new(),
        only: only.iter().map(ToString::to_string).collect(),
        force: false,
        start: true,
        purge: false,
    }
}

fn anothers(name: &str) -> Unit {
    let (name, text) = (name.to_owned(), "[Service]\n".to_owned());
    Unit { name, text, is_ours: false, is_packages: false, hides_another: false }
}

/// One of ours with another text than it would be written with now.
fn ours(name: &str) -> Unit {
    Unit { is_ours: true, ..anothers(name) }
}

/// A host with DECNET's target.
fn host(units: Vec<Unit>) -> Host {
    Host { has_systemd: true, has_package: false, units, target: Some(anothers(TARGET)) }
}

fn planned(wanted: &Wanted, host: &Host) -> Vec<Step> {
    install(wanted, host, &Templates::load(None, None).unwrap())
}

/// Which programs are run, beside those that only look.
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
fn on_a_new_host_all_is_made_and_started() {
    let there = Host { has_systemd: true, ..Host::default() };
    let steps = planned(&wanted(&[]), &there);
    assert_eq!(
        commands(&steps),
        ["systemctl enable --now decnet.target decnet-api.service decnet-bus.service decnet-webhook.service"]
    );
    let what = |part: &str| steps.iter().position(|step| step.what.contains(part)).unwrap();
    assert!(what("tmpfiles --create") < what("daemon-reload"), "{steps:?}");
    // There is no moment with a rule and no unit.
    assert!(what("system/decnet-bus.service") < what("50-decnet-bus.rules"), "{steps:?}");
}

#[test]
fn the_target_wants_every_service_that_is_there_or_comes() {
    let steps = planned(&wanted(&[]), &host(vec![anothers("decnet-prober.service")]));
    let (target, _) = written(&steps, TARGET);
    assert!(target.contains(
        "Wants=decnet-api.service decnet-bus.service decnet-prober.service decnet-webhook.service\n"
    ));
}

#[test]
fn target_of_ours_gets_new_services_and_keeps_what_was_changed() {
    let changed = |wants: &str| format!("# Written by `decnet init`.\n[Unit]\n# mine\nWants={wants}\n");
    let target = |wants: &str| Some(Unit { text: changed(wants), ..ours(TARGET) });
    let there = vec![ours("decnet-api.service"), ours("decnet-bus.service")];
    // An operator has taken the API out.
    let mut on = Host { target: target("decnet-bus.service"), ..host(there.clone()) };
    for only in [&[][..], &["decnet-webhook.service"]] {
        let steps = planned(&wanted(only), &on);
        let (text, existing) = written(&steps, TARGET);
        assert_eq!(
            (text, existing),
            (&*changed("decnet-bus.service decnet-webhook.service"), Existing::Renew)
        );
    }
    on.units.push(ours("decnet-webhook.service"));
    assert_eq!(written(&planned(&wanted(&[]), &on), TARGET).1, Existing::Keep, "nothing is new");
    // One that is another's is left to it.
    let steps = planned(&wanted(&["decnet-webhook.service"]), &host(there));
    assert_eq!(written(&steps, TARGET).1, Existing::Shared);
}

#[test]
fn what_is_there_already_is_neither_enabled_nor_started() {
    let mut there = host(vec![ours("decnet-api.service"), anothers("decnet-bus.service")]);
    let steps = planned(&wanted(&[]), &there);
    assert_eq!(commands(&steps), ["systemctl enable --now decnet-webhook.service"]);
    there.units.push(ours("decnet-webhook.service"));
    assert_eq!(commands(&planned(&wanted(&[]), &there)), [""; 0]);
    // A rule for a unit that stays another's is the other's.
    assert!(!steps.iter().any(|step| step.what.contains("50-decnet-bus.rules")));
}

#[test]
fn force_renews_what_is_ours_without_a_restart_and_takes_the_place_of_anothers() {
    let mut wanted = wanted(&[]);
    wanted.force = true;
    let there = host(vec![
        ours("decnet-api.service"),
        ours("decnet-bus.service"),
        anothers("decnet-webhook.service"),
    ]);
    let steps = planned(&wanted, &there);
    assert_eq!(
        commands(&steps),
        ["systemctl enable --now decnet-webhook.service", "systemctl restart decnet-webhook.service"]
    );
    let told = steps.iter().find(|step| step.what == "restart").unwrap();
    let Action::Skip(why) = &told.action else { panic!("{told:?}") };
    assert!(why.ends_with("systemctl restart decnet-api.service decnet-bus.service"), "{why}");
}

#[test]
fn one_service_alone_is_replaced_and_nothing_else_is() {
    let there = host(vec![anothers("decnet-bus.service"), anothers("decnet-webhook.service")]);
    let mut wanted = wanted(&["decnet-webhook.service"]);
    let steps = planned(&wanted, &there);
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
    let as_it_should_be = Unit { text: text.to_owned(), ..ours("decnet-webhook.service") };
    assert_eq!(commands(&planned(&wanted, &host(vec![as_it_should_be]))), [""; 0]);
    let edited = host(vec![ours("decnet-webhook.service")]);
    assert_eq!(commands(&planned(&wanted, &edited)), [""; 0]);
    wanted.force = true;
    assert_eq!(commands(&planned(&wanted, &edited)), ["systemctl try-restart decnet-webhook.service"]);
}

#[test]
fn what_is_taken_away_is_ours_and_data_stays_while_another_needs_it() {
    let moved = Unit { hides_another: true, ..ours("decnet-webhook.service") };
    let mut wanted = wanted(&[]);
    wanted.purge = true;
    let keeps_data = |steps: &[Step]| {
        let goes = |step: &Step| matches!(step.action, Action::RemoveTree { .. } | Action::RemoveAccounts);
        assert!(!steps.iter().any(goes), "{steps:?}");
        assert!(steps.iter().any(|step| step.what == "purge" && matches!(step.action, Action::Skip(_))));
    };
    let steps = remove(&wanted, &host(vec![anothers("decnet-bus.service"), moved]));
    assert_eq!(
        commands(&steps),
        ["systemctl disable --now decnet-webhook.service", "systemctl enable --now decnet-webhook.service"]
    );
    keeps_data(&steps);
    let packages = Unit { is_packages: true, ..ours("decnet-webhook.service") };
    let steps = remove(&wanted, &host(vec![packages]));
    assert_eq!(commands(&steps), [""; 0]);
    keeps_data(&steps);
}

#[test]
fn the_last_service_takes_target_and_data_along() {
    let mut wanted = wanted(&[]);
    wanted.purge = true;
    let mut there = host(vec![ours("decnet-webhook.service")]);
    there.target = Some(ours(TARGET));
    let steps = remove(&wanted, &there);
    assert_eq!(
        commands(&steps),
        ["systemctl disable --now decnet-webhook.service", "systemctl disable --now decnet.target"]
    );
    let trees = steps.iter().filter(|step| matches!(step.action, Action::RemoveTree { .. }));
    assert_eq!(
        trees.map(|step| step.what.as_str()).collect::<Vec<_>>(),
        ["/etc/decnet", "/var/lib/decnet", "/var/log/decnet", "/run/decnet"]
    );
    // A stop of the target would stop the others, which are part of it.
    there.units.push(anothers("decnet-prober.service"));
    assert!(commands(&remove(&wanted, &there)).contains(&"systemctl disable decnet.target"));
}

#[test]
fn a_template_that_fails_stops_no_other() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("decnet-bus.service.j2"), "User={{ usr }}").unwrap();
    let templates = Templates::load(Some(dir.path()), None).unwrap();
    let there = Host { has_systemd: true, ..Host::default() };
    let steps = install(&wanted(&[]), &there, &templates);
    let failed = steps.iter().filter(|step| matches!(step.action, Action::Fail(_)));
    assert_eq!(
        failed.map(|step| step.what.as_str()).collect::<Vec<_>>(),
        ["/etc/systemd/system/decnet-bus.service"]
    );
    assert!(written(&steps, TARGET).0.contains("Wants=decnet-api.service decnet-webhook.service\n"));
    assert!(!steps.iter().any(|step| step.what.contains("50-decnet-bus.rules")));
}
