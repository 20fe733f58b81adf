//! `decnet key` and DECNET_WEBHOOK_KEY_FILE: encrypted secrets, rotation, and keys that are missing.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;

use decnet_testkit::{Receiver, reply};
use serde_json::{Value, json};

use crate::http::Serving;
use crate::support::{Host, code, eventually, stderr, stdout};

/// Creates a host with a key file and the setting that names it.
fn host() -> Host {
    let host = Host::new().with("DECNET_WEBHOOK_ALLOW_PRIVATE", "true").with("DECNET_API_PORT", "0");
    host.write("headers", "x-key: hunter2-header\n");
    host.write("token", "hunter2-token\n");
    let key = host.path().join("webhook.key");
    let made = host.json(&["key", "create", key.to_str().unwrap(), "--json"]);
    assert_eq!(made["key"].as_str().unwrap().len(), 8);
    host.with("DECNET_WEBHOOK_KEY_FILE", key.to_str().unwrap())
}

fn subscribe(host: &Host, name: &str, receiver: &Receiver, more: &[&str]) {
    let url = receiver.url("/");
    let create = ["subscription", "create", "--name", name, "--url", &url, "--pattern", "a.>", "--json"];
    host.json(&[&create[..], more].concat());
}

const SECRETS: [&str; 4] = ["--header-file", "headers", "--bearer-file", "token"];

/// Returns whether a file in the data directory contains a text.
fn stores(host: &Host, text: &str) -> bool {
    let contains = |path: std::path::PathBuf| {
        let mut bytes = Vec::new();
        fs::File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    let files = fs::read_dir(host.path().join("data")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).any(contains)
}

fn publish(host: &Host, topic: &str) {
    let published = host.run(&["publish", topic, "{}"]);
    assert_eq!(code(&published), 0, "{}", stderr(&published));
}

/// Starts the services and waits until an event of the topic `a.0` has reached a receiver.
fn serve(host: &Host, receiver: &Receiver) -> Serving {
    let serving = host.serve(&[]);
    eventually("the worker is connected to the bus", || {
        publish(host, "a.0");
        receiver.count() > 0
    });
    serving
}

/// Returns whether an event of this topic has arrived.
fn has_received(receiver: &Receiver, topic: &str) -> bool {
    receiver.requests().iter().any(|request| request.header("x-decnet-event-topic") == topic)
}

fn key_file(host: &Host) -> std::path::PathBuf {
    host.path().join("webhook.key")
}

/// Writes the key file.
fn write_key(host: &Host, text: &str) {
    fs::write(key_file(host), text).unwrap();
    host.chmod("webhook.key", 0o600);
}

#[test]
fn stored_secrets_are_encrypted_and_still_sent() {
    let (host, receiver) = (host(), Receiver::start(reply(204)));
    assert_eq!(key_file(&host).metadata().unwrap().permissions().mode() & 0o777, 0o600);
    subscribe(&host, "siem", &receiver, &SECRETS);
    assert!(!stores(&host, "hunter2"));
    assert_eq!(host.json(&["subscription", "test", "siem", "--json"])["delivered"], true);
    assert_eq!(receiver.requests()[0].header("x-key"), "hunter2-header");
    let status = host.json(&["key", "status", "--json"]);
    assert_eq!((&status["keys"][0]["values"], &status["unencrypted_values"]), (&json!(2), &json!(0)));
    let again = host.run(&["key", "create", "webhook.key"]);
    assert!(code(&again) == 2 && stderr(&again).contains("already exists"), "{}", stderr(&again));
}

#[test]
fn existing_secrets_are_encrypted_by_command() {
    let receiver = Receiver::start(reply(204));
    let host = Host::new().with("DECNET_WEBHOOK_ALLOW_PRIVATE", "true");
    host.write("headers", "x-key: hunter2-header\n");
    subscribe(&host, "siem", &receiver, &["--header-file", "headers"]);
    assert!(stores(&host, "hunter2"));
    let unset = host.run(&["key", "rotate"]);
    assert!(code(&unset) == 2 && stderr(&unset).contains("DECNET_WEBHOOK_KEY_FILE"), "{}", stderr(&unset));
    host.json(&["key", "create", "webhook.key", "--json"]);
    let path = host.path().join("webhook.key");
    let host = host.with("DECNET_WEBHOOK_KEY_FILE", path.to_str().unwrap());
    assert_eq!(host.json(&["key", "rotate", "--json"])["changed"], 1);
    assert!(!stores(&host, "hunter2"));
    assert_eq!(host.json(&["key", "rotate", "--decrypt", "--json"])["changed"], 1);
    assert_eq!(host.json(&["key", "status", "--json"])["unencrypted_values"], 1);
}

#[test]
fn rotation_does_not_interrupt_a_running_worker() {
    let (host, receiver) = (host(), Receiver::start(reply(204)));
    subscribe(&host, "siem", &receiver, &SECRETS);
    let _serving = serve(&host, &receiver);
    let rotated = host.json(&["key", "rotate", "--new", "--json"]);
    assert_eq!((&rotated["changed"], &rotated["locked"]), (&json!(2), &json!(0)));
    let text = fs::read_to_string(key_file(&host)).unwrap();
    assert_eq!(text.lines().count(), 2);
    // The worker reads the subscriptions again after this change.
    host.json(&["subscription", "update", "siem", "--timeout", "5s", "--json"]);
    publish(&host, "a.1");
    eventually("the event is delivered", || has_received(&receiver, "a.1"));
    assert!(receiver.requests().iter().all(|request| request.header("x-key") == "hunter2-header"));
    write_key(&host, text.lines().next().unwrap());
    assert_eq!(host.json(&["subscription", "test", "siem", "--json"])["delivered"], true);
}

#[test]
fn deliveries_wait_for_a_missing_key_and_none_is_lost() {
    let (host, receiver, other) = (host(), Receiver::start(reply(204)), Receiver::start(reply(204)));
    subscribe(&host, "siem", &receiver, &SECRETS);
    subscribe(&host, "other", &other, &[]);
    let right = fs::read_to_string(key_file(&host)).unwrap();
    fs::remove_file(key_file(&host)).unwrap();
    host.json(&["key", "create", key_file(&host).to_str().unwrap(), "--json"]);
    let _serving = serve(&host, &other);
    publish(&host, "a.1");
    eventually("the other subscription gets the event", || has_received(&other, "a.1"));
    let shown = host.json(&["subscription", "show", "siem", "--json"]);
    assert!(shown["problem"].as_str().unwrap().contains("is encrypted with the key"), "{shown}");
    for arguments in [&["subscription", "list"][..], &["status"], &["check"], &["key", "status"]] {
        let output = host.run(arguments);
        let all = stdout(&output) + &stderr(&output);
        assert!(all.contains("held") && !all.contains("hunter2"), "{arguments:?}:\n{all}");
    }
    assert_eq!(code(&host.run(&["check"])), 1);
    let refused = host.run(&["subscription", "update", "siem", "--header", "x-b: c"]);
    assert!(code(&refused) == 2 && stderr(&refused).contains("--discard-encrypted"), "{}", stderr(&refused));
    assert_eq!(code(&host.run(&["subscription", "test", "siem"])), 1);
    assert_eq!(receiver.count(), 0);
    let wrong = fs::read_to_string(key_file(&host)).unwrap();
    write_key(&host, &format!("{wrong}{right}"));
    // The worker reads the subscriptions again after this change.
    host.json(&["subscription", "update", "other", "--timeout", "5s", "--json"]);
    eventually("the waiting events are delivered", || receiver.count() == other.count());
    assert!(has_received(&receiver, "a.1"));
    assert_eq!(receiver.requests()[0].header("x-key"), "hunter2-header");
}

#[test]
fn key_file_that_others_can_read_is_not_used() {
    let (host, receiver) = (host(), Receiver::start(reply(204)));
    subscribe(&host, "siem", &receiver, &SECRETS);
    host.chmod("webhook.key", 0o640);
    let listed = host.run(&["subscription", "list"]);
    assert_eq!(code(&listed), 0);
    assert!(stderr(&listed).contains("run chmod 0600 on it"), "{}", stderr(&listed));
    let refused = host.run(&["subscription", "update", "siem", "--header", "x-b: c", "--discard-encrypted"]);
    assert!(
        code(&refused) == 1 && stderr(&refused).contains("cannot encrypt secrets"),
        "{}",
        stderr(&refused)
    );
    host.chmod("webhook.key", 0o600);
    let shown = host.json(&["subscription", "show", "siem", "--json"]);
    assert_eq!(
        (&shown["problem"], &shown["settings"]["headers"]["x-key"]),
        (&Value::Null, &json!("[secret]"))
    );
}

#[test]
fn lost_values_can_be_replaced() {
    let (host, receiver) = (host(), Receiver::start(reply(204)));
    subscribe(&host, "siem", &receiver, &SECRETS);
    fs::remove_file(key_file(&host)).unwrap();
    host.json(&["key", "create", key_file(&host).to_str().unwrap(), "--json"]);
    let update =
        ["subscription", "update", "siem", "--discard-encrypted", "--header-file", "headers", "--json"];
    let updated = host.json(&update);
    assert_eq!(
        (&updated["problem"], &updated["settings"]),
        (&Value::Null, &json!({"headers": {"x-key": "[secret]"}}))
    );
    assert_eq!(host.json(&["key", "status", "--json"])["missing_keys"], json!({}));
}

#[test]
fn backup_and_restore_name_the_key() {
    let (host, receiver) = (host(), Receiver::start(reply(204)));
    subscribe(&host, "siem", &receiver, &SECRETS);
    let id = host.json(&["key", "status", "--json"])["keys"][0]["key"].clone();
    assert_eq!(host.json(&["backup", "b.tar", "--json"])["encryption_keys"], json!([id]));
    let archive = fs::read(host.path().join("b.tar")).unwrap();
    let manifest = tar_member(&archive, "manifest.json");
    let manifest: Value = serde_json::from_slice(manifest).unwrap();
    assert_eq!((&manifest["encryption_keys"], &manifest["holds"]), (&json!([id]), &json!(["catalog.db"])));
    let shown = stdout(&host.run(&["backup", "c.tar"]));
    assert!(shown.contains(&format!("needs the encryption key {}", id.as_str().unwrap())), "{shown}");
    let restored = host.run(&["restore", "b.tar", "--data-dir", "new"]);
    assert_eq!((code(&restored), &*stderr(&restored)), (0, ""));
    fs::remove_file(key_file(&host)).unwrap();
    host.json(&["key", "create", key_file(&host).to_str().unwrap(), "--json"]);
    let restored = host.run(&["restore", "b.tar", "--data-dir", "newer"]);
    assert!(
        code(&restored) == 0 && stderr(&restored).contains("does not have the key"),
        "{}",
        stderr(&restored)
    );
}

/// Returns the contents of a member of a tar archive (POSIX.1-1988, ustar).
fn tar_member<'a>(archive: &'a [u8], name: &str) -> &'a [u8] {
    let mut at = 0;
    loop {
        let header = &archive[at..at + 512];
        let text = |range: std::ops::Range<usize>| {
            std::str::from_utf8(&header[range]).unwrap().trim_matches(['\0', ' '])
        };
        let size = usize::from_str_radix(text(124..136), 8).unwrap();
        if text(0..100) == name {
            return &archive[at + 512..at + 512 + size];
        }
        at += 512 + size.div_ceil(512) * 512;
    }
}
