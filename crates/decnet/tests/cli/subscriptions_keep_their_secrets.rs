//! `decnet subscription`: from creation to deletion, with the secret shown once.

use crate::support::{Host, code, eventually, stderr, stdout};
use serde_json::Value;

const CREATE: [&str; 8] = [
    "subscription",
    "create",
    "--name",
    "siem",
    "--url",
    "https://siem.example/in/t0ken?token=t0ken",
    "--pattern",
    "attacker.>",
];

fn create(host: &Host) -> Value {
    host.json(&[&CREATE[..], &["--json"]].concat())
}

#[test]
fn secret_is_shown_only_at_creation() {
    let host = Host::new();
    let created = create(&host);
    let secret = created["secret"].as_str().unwrap().to_owned();
    assert_eq!(secret.len(), 43);
    assert_eq!(created["warnings"], Value::Array(vec![]));
    let uuid = created["uuid"].as_str().unwrap();
    let commands: [&[&str]; 12] = [
        &["subscription", "list"],
        &["subscription", "list", "--json"],
        &["subscription", "show", "siem"],
        &["subscription", "show", uuid, "--json"],
        &["subscription", "update", "siem", "--pattern", "a.b", "c.>", "-vv"],
        &["subscription", "disable", "siem", "--json"],
        &["subscription", "enable", "siem"],
        &["subscription", "test", "siem"],
        &["check"],
        &["check", "--json"],
        &["delivery", "list"],
        &["subscription", "delete", "siem", "--json"],
    ];
    for arguments in commands {
        let output = host.run(arguments);
        let all = stdout(&output) + &stderr(&output);
        assert!(!all.contains(&secret), "{arguments:?} shows the secret:\n{all}");
        let is_human = !arguments.contains(&"--json");
        assert!(!is_human || !all.contains("t0ken"), "{arguments:?} shows the URL's tokens:\n{all}");
    }
}

#[test]
fn subscription_lives_from_creation_to_deletion() {
    let host = Host::new();
    let uuid = create(&host)["uuid"].as_str().unwrap().to_owned();
    let listed = host.json(&["subscription", "list", "--json"]);
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["name"]), (1, &"siem".into()));
    let updated = host.json(&[
        "subscription",
        "update",
        &uuid[..8],
        "--event",
        "DeckyStatus",
        "--name",
        "soc",
        "--json",
    ]);
    assert_eq!(updated["topic_patterns"], serde_json::json!(["decky.*.state", "decky.*.traffic"]));
    assert_eq!((&updated["name"], &updated["uuid"]), (&"soc".into(), &uuid.as_str().into()));
    assert_eq!(host.json(&["subscription", "disable", "soc", "--json"])["enabled"], false);
    assert_eq!(host.json(&["subscription", "enable", "soc", "--json"])["enabled"], true);
    assert_eq!(host.json(&["subscription", "delete", "soc", "--json"])["uuid"], uuid.as_str());
    assert_eq!(host.json(&["subscription", "list", "--json"]), serde_json::json!([]));
}

#[test]
fn invalid_subscriptions_are_rejected_with_a_reason() {
    let host = Host::new();
    create(&host);
    let url = ["--url", "https://a.example/"];
    let create = |rest: &[&str]| {
        let arguments = [&["subscription", "create", "--name", "other"][..], rest].concat();
        let output = host.run(&arguments);
        (code(&output), stderr(&output))
    };
    let refused = |(found, messages): (i32, String), expected: i32, part: &str| {
        assert_eq!(found, expected, "{messages}");
        assert!(messages.contains(part), "{messages}");
    };
    refused(create(&url), 2, "no valid pattern");
    refused(create(&[&url[..], &["--pattern", "a..b"]].concat()), 2, "`a..b`: empty token");
    refused(create(&[&url[..], &["--event", "Nothing"]].concat()), 2, "AttackerDetail");
    refused(create(&["--url", "ftp://a/", "--pattern", "a"]), 2, "scheme");
    refused(create(&[&url[..], &["--pattern", "a", "--secret-file", "/nowhere"]].concat()), 1, "/nowhere");
    let again = host.run(&CREATE);
    refused((code(&again), stderr(&again)), 1, "siem");
    for arguments in [["subscription", "show", "siemm"], ["subscription", "update", "siem"]] {
        assert_ne!(code(&host.run(&arguments)), 0, "{arguments:?}");
    }
    refused(
        (
            code(&host.run(&["subscription", "show", "siemm"])),
            stderr(&host.run(&["subscription", "show", "siemm"])),
        ),
        1,
        "siem",
    );
}

#[test]
fn secrets_in_files_are_read_and_arguments_cause_a_warning() {
    let host = Host::new();
    let url = ["subscription", "create", "--url", "https://a.example/", "--pattern", "a", "--json"];
    let piped = [&url[..], &["--name", "piped", "--secret-file", "-"]].concat();
    let output = host.run_with_input(&piped, b"a secret from a pipe\n");
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    let created: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(created["secret"], Value::Null, "who brought the secret knows it");
    let argued = [&url[..], &["--name", "argued", "--secret", "a secret in an argument"]].concat();
    let output = host.run(&argued);
    assert!(stderr(&output).contains("process list"), "{}", stderr(&output));
    let short = [&url[..], &["--name", "short", "--secret", "short"]].concat();
    assert_eq!(code(&host.run(&short)), 2);
}

/// Secrets that receivers decode in different ways, with a part of the error for each.
const ODD_SECRETS: [(&[u8], &str); 6] = [
    (b"whsec_not*base64*at*all*xx\n", "not followed by base64"),
    (b"whsec_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_\n", "write + for - and / for _"),
    (b"whsec_c2l4dGVlbiBjaGFyYWN0ZXI\n", "add the missing ="),
    (b"\xef\xbb\xbfabcdefghijklmnop0123456789\n", "byte order mark"),
    (b"abcdefghijklmnop0123456789  \n", "begins or ends with whitespace"),
    (b"\xff\xfea\0b\0c\0d\0", "is not UTF-8 text"),
];

#[test]
fn ambiguous_secrets_are_rejected_by_every_command() {
    let host = Host::new();
    create(&host);
    for (bytes, reason) in ODD_SECRETS {
        std::fs::write(host.path().join("secret"), bytes).unwrap();
        for arguments in [
            &["subscription", "create", "--name", "odd", "--url", "https://a.example/", "--pattern", "a"][..],
            &["subscription", "update", "siem"],
            &["subscription", "rotate-secret", "siem"],
        ] {
            let output = host.run(&[arguments, &["--secret-file", "secret"]].concat());
            let messages = stderr(&output);
            assert_eq!(code(&output), 2, "{arguments:?}: {messages}");
            assert!(
                messages.contains(reason) && !messages.contains("abcdefghij"),
                "{arguments:?}: {messages}"
            );
        }
    }
    assert_eq!(host.json(&["subscription", "list", "--json"]).as_array().map(Vec::len), Some(1));
}

#[test]
fn rows_with_an_ambiguous_secret_show_a_warning() {
    let host = Host::new();
    create(&host);
    let catalog = rusqlite::Connection::open(host.path().join("data/decnet.db")).unwrap();
    catalog.execute("UPDATE webhook_subscriptions SET secret = 'whsec_not*base64*at*all*xx'", ()).unwrap();
    let warning = "begins with whsec_ not followed by base64";
    let list = host.run(&["subscription", "list"]);
    assert!(stderr(&list).contains(warning), "{}", stderr(&list));
    for arguments in [&["subscription", "show", "siem"][..], &["check"]] {
        let output = host.run(arguments);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(shown.contains(warning) && !shown.contains("not*base64"), "{shown}");
    }
    let mut worker = host.start(&["webhook"]);
    worker.wait_for(warning);
}

#[test]
fn insecure_and_forbidden_urls_cause_a_warning() {
    let host = Host::new();
    let arguments =
        ["subscription", "create", "--name", "l", "--url", "http://10.0.0.1:9/", "--pattern", "a", "--json"];
    let created = host.json(&arguments);
    let warnings = created["warnings"].to_string();
    assert!(warnings.contains("insecure_url") && warnings.contains("forbidden_url"), "{warnings}");
    assert!(warnings.contains("DECNET_WEBHOOK_ALLOW"), "the warning says what to do: {warnings}");
    let output = host.run(&["subscription", "update", "l", "--url", "http://127.0.0.1:9/"]);
    assert!(!stderr(&output).contains("insecure_url"), "requests to loopback do not cross a network");
}

#[test]
fn changes_are_signalled_on_the_bus() {
    let host = Host::new();
    let _bus = host.start_bus();
    let mut watch = host.start(&["watch", "system.webhook.>", "--count", "1"]);
    watch.wait_for("watching");
    create(&host);
    eventually("a signal", || {
        assert_eq!(code(&host.run(&["subscription", "enable", "siem"])), 0);
        !watch.is_running()
    });
    let event: Value = serde_json::from_str(&watch.finish().1).unwrap();
    assert_eq!(event["topic"], "system.webhook.subscriptions_changed");
    assert_eq!((&event["type"], &event["payload"]), (&"changed".into(), &serde_json::json!({})));
}

#[test]
fn test_reports_whether_it_was_delivered() {
    let host = Host::new().with("DECNET_WEBHOOK_ALLOW_PRIVATE", "true");
    std::fs::write(host.path().join("secret"), "sixteen characters").unwrap();
    let mut receiver =
        host.start(&["receive", "--port", "0", "--secret-file", "secret", "--json", "--count", "2"]);
    let line = receiver.wait_for("receiving on");
    let url = format!("http://{}/", line.split("http://").nth(1).unwrap().split('/').next().unwrap());
    let arguments =
        ["subscription", "create", "--name", "l", "--url", &url, "--pattern", "a", "--secret-file", "secret"];
    assert_eq!(code(&host.run(&arguments)), 0);
    let tested = host.json(&["subscription", "test", "l", "--json"]);
    assert_eq!((&tested["delivered"], &tested["status_code"]), (&true.into(), &204.into()));
    assert_eq!(code(&host.run(&["subscription", "update", "l", "--batch", "5"])), 0);
    assert_eq!(host.json(&["subscription", "test", "l", "--json"])["delivered"], true);
    let received = receiver.finish().1;
    let received: Vec<Value> = received.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (one, is_batch) in received.iter().zip([false, true]) {
        assert_eq!((&one["origin"], &one["topic"]), (&"verified".into(), &"test.ping".into()));
        assert_eq!(one["body"].is_array(), is_batch, "{one}");
    }
    let refused = host.run(&["subscription", "test", "l"]);
    assert_eq!(code(&refused), 1, "nobody listens any more");
    assert!(stdout(&refused).contains("NOT DELIVERED"), "{}", stdout(&refused));
}

#[test]
fn url_is_read_from_a_file_or_stdin() {
    let host = Host::new();
    host.write("url", "https://chat.example/hooks/t0ken\n");
    let create = ["subscription", "create", "--name", "chat", "--pattern", "a", "--json"];
    let created = host.json(&[&create[..], &["--url-file", "url"]].concat());
    assert_eq!(created["url"], "https://chat.example/hooks/t0ken");
    let update = ["subscription", "update", "chat", "--url-file", "-"];
    let updated = host.run_with_input(&update, b"https://chat.example/hooks/an0ther");
    assert_eq!(code(&updated), 0, "{}", stderr(&updated));
    assert!(!stdout(&updated).contains("an0ther"), "{}", stdout(&updated));
    assert_eq!(
        host.json(&["subscription", "show", "chat", "--json"])["url"],
        "https://chat.example/hooks/an0ther"
    );
    host.write("bad", "ftp://user:t0ken@chat.example/\n");
    host.write("empty", "\n");
    host.write("marked", "\u{feff}https://chat.example/\n");
    for (arguments, exit, says) in [
        (&["--url-file", "bad"][..], 2, "--url-file: the scheme `ftp`"),
        (&["--url-file", "empty"], 1, "has no URL"),
        (&["--url-file", "marked"], 2, "byte order mark"),
        (&["--url-file", "missing"], 1, "cannot read the URL"),
        (&["--url-file", "url", "--url", "https://a.example/"], 2, "cannot be used with"),
        (&[], 2, "--url or --url-file"),
    ] {
        let refused = host.run(&[&create[..], arguments].concat());
        let messages = stderr(&refused);
        assert_eq!(code(&refused), exit, "{arguments:?}: {messages}");
        assert!(messages.contains(says) && !messages.contains("t0ken"), "{arguments:?}: {messages}");
    }
}
