//! `decnet subscription create` and `update`: settings that are not given are kept, invalid settings are rejected.

use serde_json::{Value, json};

use crate::support::{Host, code, stderr, stdout};

const CREATE: [&str; 8] =
    ["subscription", "create", "--name", "lake", "--url", "https://lake.example/", "--pattern", ">"];

fn settings(host: &Host, arguments: &[&str]) -> Value {
    let row = host.json(&[arguments, &["--json"]].concat());
    row["settings"].clone()
}

fn update(host: &Host, change: &[&str]) -> Value {
    settings(host, &[&["subscription", "update", "lake"][..], change].concat())
}

#[test]
fn batch_settings_change_one_by_one_and_are_reset() {
    let host = Host::new();
    let batch = |events: u32, linger: &str, format: &str| json!({"max_events": events, "linger": linger, "format": format});
    let created = settings(&host, &[&CREATE[..], &["--batch", "100"]].concat());
    assert_eq!(created, json!({"batch": batch(100, "1s", "array")}));
    assert_eq!(update(&host, &["--linger", "250ms"]), json!({"batch": batch(100, "250ms", "array")}));
    let cloud = json!({"batch": batch(100, "250ms", "cloudevents")});
    assert_eq!(update(&host, &["--batch-format", "cloudevents"]), cloud);
    let all = json!({"rate": "5/m", "ordered": true, "batch": batch(7, "250ms", "cloudevents")});
    assert_eq!(update(&host, &["--rate", "5/m", "--ordered", "--batch", "7"]), all);
    let shown = stdout(&host.run(&["subscription", "show", "lake"]));
    assert!(shown.contains("at most 5/m, ordered, batches of 7 within 250ms (cloudevents)"), "{shown}");
    assert_eq!(update(&host, &["--no-batch"]), json!({"rate": "5/m", "ordered": true}));
    assert_eq!(update(&host, &["--rate", "none", "--unordered"]), json!({}));
}

#[test]
fn invalid_batch_settings_are_rejected_with_a_reason() {
    let host = Host::new();
    host.json(&[&CREATE[..], &["--json"]].concat());
    for (change, part) in [
        (&["--batch", "0"][..], "1 to 256 events"),
        (&["--batch", "257"], "1 to 256 events"),
        (&["--batch", "9", "--linger", "61s"], "at most 1m"),
        (&["--batch", "9", "--linger", "soon"], "duration such as"),
        (&["--batch", "9", "--batch-format", "xml"], "cloudevents"),
        (&["--linger", "1s"], "need --batch"),
        (&["--batch-format", "array"], "need --batch"),
        (&["--no-batch", "--batch", "9"], "--no-batch"),
    ] {
        let output = host.run(&[&["subscription", "update", "lake"][..], change].concat());
        assert_eq!(code(&output), 2, "{change:?}");
        assert!(stderr(&output).contains(part), "{change:?}: {}", stderr(&output));
    }
    assert_eq!(host.json(&["subscription", "show", "lake", "--json"])["settings"], json!({}));
}
