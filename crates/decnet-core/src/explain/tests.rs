use super::*;

fn subscription(activity: Activity, patterns: &[String]) -> Subscription<'_> {
    let (hold, floor, filter) = (None, None, None);
    Subscription { patterns, activity, problem: None, gone: false, paused: false, hold, floor, filter }
}

fn names_and_results(steps: &[ExplanationStep]) -> Vec<(&str, Option<bool>)> {
    steps.iter().map(|step| (step.step, step.passed)).collect()
}

#[test]
fn event_that_would_be_sent_passes_every_step() {
    let patterns = ["x.y".to_owned(), "a.>".to_owned()];
    let steps = explain(Some("a.b"), Event::Hypothetical, &subscription(Activity::Active, &patterns), None);
    assert!(steps.iter().all(|step| step.passed == Some(true)), "{steps:?}");
    assert!(steps[2].detail.contains("`a.>`"));
}

#[test]
fn first_failed_step_is_named() {
    let patterns = ["a.>".to_owned()];
    let enabled_and_delivery = |activity| {
        let steps = explain(Some("a.b"), Event::Hypothetical, &subscription(activity, &patterns), None);
        (steps[3].passed, steps[4].detail.clone())
    };
    assert_eq!(
        enabled_and_delivery(Activity::Tripped),
        (Some(false), "the event would be kept and sent later".into())
    );
    assert_eq!(
        enabled_and_delivery(Activity::Disabled),
        (Some(false), "the event would be neither kept nor sent".into())
    );
    let paused = Subscription { paused: true, ..subscription(Activity::Active, &patterns) };
    let paused = explain(Some("a.b"), Event::Hypothetical, &paused, None);
    assert_eq!(names_and_results(&paused)[4..], [("paused", Some(false)), ("delivery", Some(false))]);
    let other = explain(Some("b.c"), Event::Hypothetical, &subscription(Activity::Active, &patterns), None);
    assert_eq!(
        names_and_results(&other)[2..],
        [("pattern", Some(false)), ("enabled", Some(true)), ("delivery", Some(false))]
    );
    let broken = Subscription { problem: Some("no usable pattern"), ..subscription(Activity::Active, &[]) };
    let broken = explain(Some("a.b"), Event::Admitted, &broken, None);
    assert_eq!(names_and_results(&broken)[1], ("row", Some(false)));
    assert_eq!(broken.last().map(|step| step.passed), Some(Some(false)));
}

#[test]
fn severity_and_filter_are_steps_with_their_values() {
    let patterns = ["a.>".to_owned()];
    let explained = |severity, result| {
        let floor = Some(SeverityFloor { floor: Severity::Medium, severity });
        let filter = Some(FilterCheck { source: "payload.n == 1", result });
        let row = Subscription { floor, filter, ..subscription(Activity::Active, &patterns) };
        explain(Some("a.b"), Event::Hypothetical, &row, None)
    };
    let steps = explained(Ok(Severity::Medium), FilterResult::Accepted);
    assert_eq!(
        names_and_results(&steps)[2..],
        [
            ("pattern", Some(true)),
            ("severity", Some(true)),
            ("filter", Some(true)),
            ("enabled", Some(true)),
            ("delivery", Some(true)),
        ]
    );
    let steps = explained(Ok(Severity::Low), FilterResult::Excluded);
    assert_eq!((steps[3].passed, steps[4].passed, steps[6].passed), (Some(false), Some(false), Some(false)));
    assert_eq!(steps[3].detail, "the severity low is below the minimum medium: the event is excluded");
    assert_eq!(steps[4].detail, "the filter excludes the event: `payload.n == 1`");
    let steps = explained(Ok(Severity::High), FilterResult::Failed("line 1, column 9: no `n`".into()));
    assert_eq!((steps[4].passed, steps[6].passed), (Some(false), Some(false)));
    assert!(steps[4].detail.contains("line 1, column 9: no `n`"), "{steps:?}");
}

#[test]
fn undecided_filter_leaves_the_delivery_undecided() {
    let patterns = ["a.>".to_owned()];
    let delivery = |activity, topic| {
        let result = FilterResult::Unknown("it depends on the event".into());
        let filter = Some(FilterCheck { source: "true", result });
        let row = Subscription { filter, ..subscription(activity, &patterns) };
        explain(Some(topic), Event::Hypothetical, &row, None).last().unwrap().clone()
    };
    assert_eq!(delivery(Activity::Active, "a.b").passed, None);
    assert_eq!(delivery(Activity::Active, "b.c").detail, "the event would not be sent");
    assert_eq!(delivery(Activity::Disabled, "a.b").passed, Some(false));
}

#[test]
fn held_subscription_keeps_events_until_it_is_corrected() {
    let patterns = ["a.>".to_owned()];
    let row = Subscription { hold: Some("filter: x"), ..subscription(Activity::Active, &patterns) };
    let steps = explain(Some("a.b"), Event::Hypothetical, &row, None);
    assert_eq!(names_and_results(&steps)[4..], [("held", Some(false)), ("delivery", Some(false))]);
    assert!(steps[4].detail.contains("held: filter: x;"), "{steps:?}");
    assert_eq!(steps[5].detail, "the event would be kept and sent later");
}

#[test]
fn last_step_reports_the_status_of_the_delivery() {
    let patterns = ["a.>".to_owned()];
    let last = |status, attempts, reason| {
        let delivery = Delivery { id: "7.0".into(), status, attempts, reason };
        let row = subscription(Activity::Active, &patterns);
        let steps = explain(Some("a.b"), Event::Admitted, &row, Some(&delivery));
        assert_eq!(steps[4].step, "delivery");
        steps.last().unwrap().clone()
    };
    assert_eq!(last(DeliveryStatus::Delivered, 1, None).passed, Some(true));
    assert_eq!(last(DeliveryStatus::Retrying, 2, None).passed, None);
    assert_eq!(last(DeliveryStatus::Parked, 0, None).passed, Some(false));
    let dead = last(DeliveryStatus::Dead, 17, Some(Reason::Timeout));
    assert!(dead.detail.contains("17 attempts: timeout"), "{dead:?}");
}

#[test]
fn unknown_events_are_reported_as_unknown() {
    let patterns = ["a.>".to_owned()];
    let row = subscription(Activity::Active, &patterns);
    let steps = explain(None, Event::Unknown { id: "e1" }, &row, None);
    assert_eq!(
        names_and_results(&steps),
        [("event", Some(false)), ("row", Some(true)), ("enabled", Some(true)), ("delivery", Some(false))]
    );
    assert_eq!(explain(Some("a.b"), Event::Submitted, &row, None)[0].passed, Some(false));
    let unfinished = explain(None, Event::NotAmongNewest { id: "e1", scanned: 20_000 }, &row, None);
    assert_eq!(
        names_and_results(&unfinished),
        [("event", None), ("row", Some(true)), ("enabled", Some(true))]
    );
    assert!(unfinished[0].detail.contains("newest 20000"), "{unfinished:?}");
}
