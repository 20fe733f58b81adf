//! The values of every page, filled with text that an attacker would write.

use std::time::Duration;

use decnet_core::time::UnixMicros;
use decnet_web::access::{AccessPage, CreatedToken, RevokePage, Session, Token, TokenPage};
use decnet_web::audit::{AuditFilter, AuditPage, Entry};
use decnet_web::chart::Sparkline;
use decnet_web::columns::{Choice, Column};
use decnet_web::delivery::{self, Deliveries};
use decnet_web::explanation::{Explanation, Question};
use decnet_web::failure::Group;
use decnet_web::filter::DeliveryFilter;
use decnet_web::job::{Job, Selection};
use decnet_web::page::{
    DeletePage, DeliveriesPage, DeliveryPage, ErrorPage, ExplainPage, FailuresPage, JobPage, Login,
    OverviewPage, Page, PreviewPage, SecretPage, SubscriptionPage, SubscriptionsPage,
};
use decnet_web::receiver::{self, Receiver};
use decnet_web::topics::{EventsPage, Topics};
use decnet_web::traffic::{Range, TrafficView};
use decnet_web::{Count, Frame, Notice, Overview, Parts, Span, Text, Time};
use serde_json::{Value, json};

use crate::forms::of_forms;

/// Markup that leaves attributes, elements and scripts, template syntax, and a character that reverses text.
pub(crate) const HOSTILE: &str =
    "x\"'></textarea></pre></script><img src=x onerror=alert(1) hx-get=/ hx-trigger=load>{{7*7}}\u{202e}";
pub(crate) const NONCE: &str = "0123456789abcdef";

pub(crate) fn frame() -> Frame {
    Frame {
        nonce: NONCE.into(),
        url: format!("/deliveries?topic={HOSTILE}"),
        who: HOSTILE.into(),
        csrf: "form-token".into(),
        can_change: true,
        notice: Some(Notice { text: HOSTILE.into(), is_error: true }),
        version: "1",
    }
}

pub(crate) fn read_only() -> Frame {
    Frame { can_change: false, ..frame() }
}

pub(crate) fn text() -> Text {
    HOSTILE.into()
}

pub(crate) fn time() -> Time {
    UnixMicros(1_776_988_800_000_000).into()
}

fn receiver() -> Receiver {
    Receiver {
        uuid: text(),
        name: text(),
        url: text(),
        state: "tripped",
        failures: Count(5),
        error: Some(text()),
        waiting: Count(4120),
        dead: Count(1),
        delivered: Count(2),
        oldest: Some(Span(Duration::from_secs(360))),
        last_success: None,
        last_failure: Some(time()),
        activity: Sparkline::new(&[(4, 1), (0, 0)]),
    }
}

fn view() -> TrafficView {
    let interval = json!({
        "at": "2026-04-24T00:00:00+00:00", "seconds": 60.0, "admitted": 600, "delivered": 540,
        "failed_attempts": 3, "dead": 1, "latency_p50_ms": 1.5, "latency_p99_ms": null, "waiting": 7,
        "oldest_seconds": 4.5,
    });
    let traffic = json!({
        "since": "2026-04-24T00:00:00+00:00", "now": interval, "hour": [null, interval, interval], "day": [],
        "bus": {"state": "connected", "problem": HOSTILE, "dropped": 1, "publisher_pauses": 2},
    });
    TrafficView { range: Range::Hour, traffic: Some(serde_json::from_value(traffic).unwrap()) }
}

pub(crate) fn delivery() -> Value {
    json!({
        "id": HOSTILE, "state": "dead", "reason": "timeout", "due_at": null, "deferred_until": null,
        "attempt_count": 1, "event_id": HOSTILE, "topic": HOSTILE,
        "subscription": {"uuid": HOSTILE, "name": HOSTILE},
        "admitted_at": "2026-04-24T00:00:00+00:00", "settled_at": "2026-04-24T00:00:01+00:00",
        "body": {"payload": HOSTILE, "n": 12_345_678_901_234_567_890_u64},
        "attempts": [{
            "number": 1, "started_at": "2026-04-24T00:00:00+00:00", "duration_ms": 1.5, "status": 500,
            "reason": "server_error", "detail": HOSTILE, "repeats": 1, "reply": HOSTILE,
            "timings": {"resolve_ms": 1.0, "connect_ms": null, "tls_ms": null, "first_byte_ms": 2.0},
            "request": {"method": "POST", "url": format!("{HOSTILE}…"), "headers": {HOSTILE: HOSTILE}},
        }],
    })
}

fn job() -> Job {
    serde_json::from_value(json!({
        "id": HOSTILE, "status": "running", "dry_run": false, "total": 3, "skipped_not_final": 1, "skipped_superseded": 0,
        "skipped_deleted": 0, "done": 1, "redelivered": 1, "error": HOSTILE,
        "started_at": "2026-04-24T00:00:00+00:00", "ended_at": null,
    }))
    .unwrap()
}

fn details() -> receiver::Details {
    receiver::Details {
        receiver: receiver(),
        patterns: vec![text()],
        settings: vec![(HOSTILE.into(), text())],
        warnings: vec![text()],
        deferred_until: Some(time()),
        tripped_at: Some(time()),
        next_probe: Some(time()),
        old_secrets_until: vec![time()],
        created_at: None,
        updated_at: None,
        is_paused: true,
        is_enabled: false,
    }
}

fn deliveries() -> Vec<delivery::Delivery> {
    vec![serde_json::from_value(delivery()).unwrap()]
}

fn group() -> Group {
    let subscription = delivery::Name { uuid: text(), name: text() };
    Group {
        subscription,
        reason: "timeout",
        open: Count(4000),
        redelivered: Count(1),
        oldest: Some(time()),
        newest: Some(time()),
    }
}

fn explanation() -> Explanation {
    serde_json::from_value(json!({
        "subscription": {"uuid": HOSTILE, "name": HOSTILE}, "event_id": HOSTILE, "topic": HOSTILE,
        "delivery_id": HOSTILE, "steps": [
            {"step": HOSTILE, "passed": false, "detail": HOSTILE}, {"step": "attempts", "passed": false, "detail": HOSTILE},
        ],
    }))
    .unwrap()
}

fn topics() -> Topics {
    serde_json::from_value(json!({
        "topics": [{
            "topic": HOSTILE, "events": 4120, "newest_at": "2026-04-24T00:00:00+00:00", "subscriptions": 2,
            "example": {"event_id": HOSTILE, "body": {HOSTILE: HOSTILE}},
        }],
        "distinct": 3, "events": 10_000, "since": "2026-04-24T00:00:00+00:00",
    }))
    .unwrap()
}

fn filter() -> DeliveryFilter {
    let [subscription, topic, state, status, reason, last, since, until, event_id, search, cursor] =
        [(); 11].map(|()| HOSTILE.to_owned());
    DeliveryFilter {
        subscription,
        topic,
        state,
        status,
        reason,
        last,
        since,
        until,
        event_id,
        search,
        cursor,
    }
}

pub(crate) type Named = (&'static str, Box<dyn Page>);

/// Returns every page, with its name.
pub(crate) fn pages(frame: fn() -> Frame) -> Vec<(&'static str, String)> {
    let all =
        [general(frame), of_subscriptions(frame), of_deliveries(frame), of_forms(frame), of_access(frame)]
            .into_iter()
            .flatten();
    all.map(|(name, page)| (name, page.html().unwrap())).collect()
}

fn general(frame: fn() -> Frame) -> Vec<Named> {
    let parts = Parts { reasons: vec![text()], ..Parts::default() };
    let overview = Overview::new(&[receiver()], Count(1), parts);
    let question = Question { subscription: HOSTILE.into(), event_id: HOSTILE.into(), topic: HOSTILE.into() };
    let (answer, error) = (Some(explanation()), Some(HOSTILE.to_owned()));
    vec![
        ("login", login(error.clone(), false)),
        ("login link", login(error.clone(), true)),
        ("overview", Box::new(OverviewPage { frame: frame(), overview, view: view(), taken_at: time() })),
        ("explain", Box::new(ExplainPage { frame: frame(), question, names: vec![text()], answer, error })),
        (
            "error",
            Box::new(ErrorPage { frame: frame(), status: 404, title: "Not found", detail: HOSTILE.into() }),
        ),
    ]
}

fn login(error: Option<String>, is_link: bool) -> Box<dyn Page> {
    Box::new(Login { frame: Frame::default(), error, next: HOSTILE.into(), is_link })
}

fn token(state: &str) -> Token {
    serde_json::from_value(json!({
        "id": HOSTILE, "name": HOSTILE, "scopes": [HOSTILE], "link_to": null, "state": state,
        "created_at": "2026-04-24T00:00:00+00:00", "expires_at": null, "last_used_at": null,
    }))
    .unwrap()
}

fn session(is_own: bool) -> Session {
    let [handle, who, scopes, address] = [(); 4].map(|()| text());
    Session { handle, who, is_of_decnet: true, scopes, address, since: time(), last_seen: time(), is_own }
}

fn entry(object: &str) -> Entry {
    serde_json::from_value(json!({
        "at": "2026-04-24T00:00:00+00:00", "actor": {"kind": "local_user", "id": HOSTILE, "name": HOSTILE},
        "action": HOSTILE, "object": {"kind": object, "id": HOSTILE, "name": HOSTILE},
        "changes": [{"field": HOSTILE, "from": HOSTILE, "to": HOSTILE}, {"field": HOSTILE, "from": null, "to": null}],
    }))
    .unwrap()
}

fn of_access(frame: fn() -> Frame) -> Vec<Named> {
    let tokens = vec![token("active"), token("revoked")];
    let access = AccessPage::new(frame(), tokens, vec![session(true), session(false)]);
    let [actor, subscription, since, cursor] = [(); 4].map(|()| HOSTILE.to_owned());
    let filter = AuditFilter { actor, subscription, since, cursor };
    let entries = vec![entry("subscription"), entry(HOSTILE)];
    let next = Some(format!("/access/audit?cursor={HOSTILE}"));
    let created = CreatedToken { name: text(), token: "dcn_s3cret".into(), expires_at: Some(time()) };
    vec![
        ("access", Box::new(access)),
        ("token", Box::new(TokenPage { frame: frame(), created })),
        ("revoke", Box::new(RevokePage { frame: frame(), token: token("active"), is_own: true })),
        ("audit", Box::new(AuditPage { frame: frame(), filter, entries, error: None, next })),
    ]
}

fn of_subscriptions(frame: fn() -> Frame) -> Vec<Named> {
    let list = SubscriptionsPage {
        frame: frame(),
        receivers: vec![receiver()],
        search: HOSTILE.into(),
        state: HOSTILE.into(),
        columns: vec![Column {
            name: "Name",
            is_number: true,
            link: Some(HOSTILE.into()),
            order: Some("ascending"),
        }],
        orders: vec![Choice { value: HOSTILE.into(), name: "name", is_chosen: true }],
        matching: Count(1),
        total: Count(1),
        next: Some(format!("/subscriptions?q={HOSTILE}")),
    };
    let secret = SecretPage {
        frame: frame(),
        uuid: text(),
        name: text(),
        secret: "s3cret".into(),
        old_secrets_until: vec![time()],
    };
    vec![
        ("subscriptions", Box::new(list)),
        (
            "subscription",
            Box::new(SubscriptionPage { frame: frame(), details: details(), recent: deliveries() }),
        ),
        ("delete", Box::new(DeletePage { frame: frame(), receiver: receiver() })),
        ("secret", Box::new(secret)),
    ]
}

fn of_deliveries(frame: fn() -> Frame) -> Vec<Named> {
    let page = Deliveries { deliveries: deliveries(), next: None };
    let next = Some(format!("/deliveries?cursor={HOSTILE}"));
    let selection = Selection { subscription: HOSTILE.into(), reason: HOSTILE.into() };
    let one = delivery::Details::parse(delivery().to_string().as_bytes()).unwrap();
    let failures = FailuresPage {
        frame: frame(),
        groups: vec![group()],
        open: Count(1),
        jobs: vec![job()],
        taken_at: time(),
    };
    let list = DeliveriesPage {
        frame: frame(),
        filter: filter(),
        receiver: Some(receiver()),
        names: vec![text()],
        page,
        error: None,
        next,
    };
    let receiver = Some(receiver());
    vec![
        ("deliveries", Box::new(list)),
        ("delivery", Box::new(DeliveryPage { frame: frame(), details: one, now: UnixMicros(0) })),
        ("events", Box::new(EventsPage { frame: frame(), topics: topics() })),
        ("failures", Box::new(failures)),
        ("preview", Box::new(PreviewPage { frame: frame(), selection, receiver, job: job() })),
        ("job", Box::new(JobPage { frame: frame(), job: job() })),
    ]
}
