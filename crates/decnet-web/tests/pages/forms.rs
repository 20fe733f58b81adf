//! The values of the pages with forms.

use decnet_web::Frame;
use decnet_web::exchange::Report;
use decnet_web::form::{Current, Form, FormatInfo, Guide, Values};
use decnet_web::forms::{CreatedPage, FormPage, TestPage, TilesPage};
use decnet_web::previewed::Preview;
use serde_json::{Value, json};

use crate::values::{HOSTILE, Named, text};

/// Returns the form of an existing subscription with the format `elastic`; every value and every error is hostile.
fn form() -> Form {
    let names =
        ["name", "topics", "filter", "template", "rate", "option.index", "batch_events", "auth_user", "gzip"];
    let mut values = Values::default();
    names.into_iter().for_each(|name| values.set(name, HOSTILE));
    let current = Current {
        uuid: text(),
        name: text(),
        url: text(),
        version: "\"1\"".into(),
        auth: Some(text()),
        headers: vec![text()],
        set: ["private_key"].into(),
    };
    let options = vec![("index", "data stream or index", Some("logs"))];
    let format = FormatInfo { name: "elastic", options, has_batch: true, ..FormatInfo::default() };
    Form { values, format, current: Some(current), error: Some(("rate".into(), text())) }
}

fn request() -> Value {
    let body = json!({"text": HOSTILE, "base64": null, "bytes": 9, "is_complete": false});
    json!({"method": "POST", "url": HOSTILE, "headers": [[HOSTILE, HOSTILE]], "body": body, "uncompressed": body})
}

fn trial() -> Preview {
    let event = json!({"event_id": HOSTILE, "topic": HOSTILE, "severity": "high", "delivered": true, "reason": HOSTILE,
        "request": request()});
    let topics = [true, false].map(|matches| json!({"topic": HOSTILE, "events": 1, "matches": matches}));
    serde_json::from_value(json!({"topics": topics, "events": [event]})).unwrap()
}

fn report() -> Report {
    let reply = json!({"status": 200, "headers": [[HOSTILE, HOSTILE]], "body": request()["body"]});
    let timings = json!({"resolve_ms": 1.0, "connect_ms": null, "tls_ms": null, "first_byte_ms": null});
    let exchange =
        json!({"request": request(), "reply": reply, "duration_ms": 1.5, "timings": timings, "repeats": 1});
    serde_json::from_value(
        json!({"delivered": false, "status_code": 200, "error": HOSTILE, "exchange": exchange}),
    )
    .unwrap()
}

pub(crate) fn of_forms(frame: fn() -> Frame) -> Vec<Named> {
    let guides = || vec![Guide::of("slack", ""), Guide::of("", "")];
    let edit = FormPage {
        frame: frame(),
        form: form(),
        guides: guides(),
        preview: Ok(trial()),
        invalid_patterns: vec![(text(), text())],
    };
    let new = FormPage {
        frame: frame(),
        form: Form { current: None, error: Some(("other".into(), text())), ..form() },
        guides: guides(),
        preview: Err(text()),
        invalid_patterns: Vec::new(),
    };
    let created = CreatedPage {
        frame: frame(),
        uuid: text(),
        name: text(),
        secret: Some("s3cret".into()),
        is_plain: true,
        warnings: vec![text()],
    };
    let test = TestPage {
        frame: frame(),
        uuid: text(),
        name: text(),
        families: vec!["attacker.observed"],
        events: vec![(text(), text())],
        what: HOSTILE.into(),
        event_id: HOSTILE.into(),
        error: Some(text()),
        report: Some(report()),
    };
    let tiles = TilesPage { frame: frame(), guides: guides(), topics: HOSTILE.into() };
    vec![
        ("tiles", Box::new(tiles)),
        ("edit", Box::new(edit)),
        ("new", Box::new(new)),
        ("created", Box::new(created)),
        ("test", Box::new(test)),
    ]
}
