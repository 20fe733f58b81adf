//! Explanations for subscriptions with a severity floor or a filter.

use std::path::Path;

use decnet_core::event::Event;
use decnet_core::explain::ExplanationStep;
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::time::UnixMicros;
use decnet_core::topic::Pattern;
use decnet_store::catalog::{Catalog, Create, NewSubscription, Row};
use decnet_store::explain::{EventQuery, Severities, explain};
use decnet_store::queue::{ExternalWriter, Reader};

use super::support::*;

/// Creates a catalog with one subscription and returns its row.
fn row(dir: &Path, settings: &str) -> Row {
    let mut catalog = Catalog::open(&dir.join("decnet.db"), Create::IfMissing).unwrap();
    let new = NewSubscription {
        name: "siem".into(),
        url: EndpointUrl::new("https://siem.example/").unwrap(),
        secret: Secret::new("a-very-secret-secret"),
        patterns: vec![Pattern::new("a.>").unwrap()],
        enabled: true,
        settings: serde_json::from_str(settings).unwrap(),
    };
    let uuid = catalog.create(&new, UnixMicros(0)).unwrap();
    catalog.find(&uuid).unwrap()
}

fn severities() -> Severities {
    Ok("a.high = high\na.low = low\n".parse().unwrap())
}

fn named(steps: Vec<ExplanationStep>, name: &str) -> ExplanationStep {
    steps.into_iter().find(|step| step.step == name).unwrap()
}

#[tokio::test]
async fn floor_and_filter_are_evaluated_for_stored_events() {
    let (dir, queue, [other]) = new_queue().await;
    let row = row(dir.path(), r#"{"filter": "payload.n == 1", "min_severity": "medium"}"#);
    for (id, topic, payload) in [
        ("accepted", "a.high", r#"{"n":1}"#),
        ("excluded", "a.low", r#"{"n":2}"#),
        ("failed", "a.high", "{}"),
    ] {
        let event = Event::new(id, topic, "t", UnixMicros(0), payload).unwrap();
        admit_one(&queue, event, &[other], false).await;
    }
    let reader = Reader::open(dir.path()).unwrap();
    let step = |id, name| {
        let explained = explain(Some(&reader), &row, &severities(), EventQuery::Id(id), || true).unwrap();
        named(explained.steps, name)
    };
    for (id, floor, filter) in [("accepted", true, true), ("excluded", false, false), ("failed", true, false)]
    {
        assert_eq!(step(id, "severity").passed, Some(floor), "{id}");
        assert_eq!(step(id, "filter").passed, Some(filter), "{id}");
    }
    assert_eq!(
        step("excluded", "severity").detail,
        "the severity low is below the minimum medium: the event is excluded"
    );
    assert_eq!(step("excluded", "filter").detail, "the filter excludes the event: `payload.n == 1`");
    let failed = step("failed", "filter").detail;
    assert!(failed.contains("line 1, column ") && failed.ends_with("`payload.n == 1`"), "{failed}");
}

#[tokio::test]
async fn submitted_event_is_judged_before_its_admission() {
    let (dir, _queue, []) = new_queue().await;
    let row = row(dir.path(), r#"{"filter": "id == 'e1'"}"#);
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    submit(&mut writer, &[submission("e1"), submission("e2")], None, now()).unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    for (id, accepted) in [("e1", true), ("e2", false)] {
        let explained = explain(Some(&reader), &row, &severities(), EventQuery::Id(id), || true).unwrap();
        assert_eq!(explained.topic.as_deref(), Some("a.b"));
        assert_eq!(named(explained.steps, "filter").passed, Some(accepted), "{id}");
    }
}

#[test]
fn topic_alone_decides_the_floor_but_not_the_filter() {
    let dir = tempfile::tempdir().unwrap();
    let row = row(dir.path(), r#"{"filter": "payload.n == 1", "min_severity": "medium"}"#);
    let steps = |severities: &Severities| {
        explain(None, &row, severities, EventQuery::Topic("a.high"), || true).unwrap().steps
    };
    let known = steps(&severities());
    assert_eq!(named(known.clone(), "severity").passed, Some(true));
    assert_eq!(named(known.clone(), "delivery").passed, None);
    let filter = named(known, "filter");
    assert_eq!(filter.passed, None);
    assert_eq!(filter.detail, "the filter is undecided: it depends on the event: `payload.n == 1`");
    let unknown = named(steps(&Err("cannot read /x".into())), "severity");
    assert_eq!((unknown.passed, unknown.detail.contains("cannot read /x")), (None, true));
}

/// Another program may have written the filter, since `decnet` refuses to store it.
#[test]
fn filter_that_does_not_compile_is_a_hold() {
    let dir = tempfile::tempdir().unwrap();
    row(dir.path(), r#"{"filter": "payload.n == 1"}"#);
    let path = dir.path().join("decnet.db");
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute(r#"UPDATE decnet_webhook_settings SET settings = '{"filter":"payload."}'"#, []).unwrap();
    let row = Catalog::open(&path, Create::Never).unwrap().find("siem").unwrap();
    assert_eq!((row.is_held, row.parked_by()), (true, Some("held")));
    let steps = explain(None, &row, &severities(), EventQuery::Topic("a.b"), || true).unwrap().steps;
    assert!(steps.iter().all(|step| step.step != "filter"), "{steps:?}");
    assert_eq!(named(steps.clone(), "row").passed, Some(true));
    let held = named(steps, "held");
    assert!(held.detail.starts_with("the subscription is held: filter: line 1"), "{held:?}");
}
