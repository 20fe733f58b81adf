//! What is planned, for hosts of several kinds.

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
    Host { has_systemd: true, units, target: None }
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
    let steps = install(&wanted(&[]), &host(vec![unit("decnet-prober.service", false, false)]), &templates);
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
    let there =
        host(vec![unit("decnet-bus.service", false, false), unit("decnet-webhook.service", false, false)]);
    let mut wanted = wanted(&["decnet-webhook.service"]);
    wanted.force = true;
    let steps = install(&wanted, &there, &templates);
    let (unit, existing) = written(&steps, "decnet-webhook.service");
    assert_eq!(existing, Existing::Replace);
    for kept in ["decnet.target", "50-decnet.rules", "decnet.ini", "tmpfiles.d/decnet.conf"] {
        assert_eq!(written(&steps, kept).1, Existing::Keep, "{kept}");
    }
    assert_eq!(written(&steps, "50-decnet-webhook.rules").1, Existing::Replace);
    assert!(!steps.iter().any(|step| step.what.contains("decnet-bus.")));
    assert_eq!(
        commands(&steps)[2..],
        ["systemctl enable --now decnet-webhook.service", "systemctl restart decnet-webhook.service"]
    );
    let as_it_should_be = Unit { text: unit.to_owned(), ..self::unit("decnet-webhook.service", true, true) };
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
        !steps.iter().any(|step| matches!(step.action, Action::RemoveTree { .. } | Action::RemoveAccounts))
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
    assert!(written(&steps, "decnet.target").0.contains("Wants=decnet-api.service decnet-webhook.service\n"));
}
