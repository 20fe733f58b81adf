//! A command that has changed something but cannot print the result reports the change on stderr and fails.

use std::fs::OpenOptions;
use std::process::{Output, Stdio};

use crate::support::{Host, code, stderr, stdout};

/// Runs a command whose stdout is a full disk, or a pipe without a reader.
fn run_without_stdout(host: &Host, arguments: &[&str], is_full: bool) -> Output {
    let out = if is_full {
        Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap())
    } else {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer.into()
    };
    host.command(arguments).stdout(out).output().unwrap()
}

/// Runs a command without a usable stdout and returns its stderr. Asserts that it fails and gives the reason.
fn lost(host: &Host, arguments: &[&str], is_full: bool) -> String {
    let output = run_without_stdout(host, arguments, is_full);
    let messages = stderr(&output);
    assert_eq!(code(&output), 1, "{arguments:?}: {messages}");
    let why = if is_full { "No space left on device" } else { "stdout is closed" };
    assert!(
        messages.contains("could not be written to stdout") && messages.contains(why),
        "{arguments:?}: {messages}"
    );
    messages
}

/// Returns the word after the last occurrence of `before`.
fn word_after(text: &str, before: &str) -> String {
    let rest = text.rsplit(before).next().unwrap();
    rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next().unwrap().to_owned()
}

#[test]
fn lost_subscription_secret_is_reported_and_can_be_rotated() {
    let host = Host::new();
    for (number, (is_full, json)) in [(true, false), (false, false), (true, true)].into_iter().enumerate() {
        let name = format!("siem-{number}");
        let create =
            ["subscription", "create", "--name", &name, "--url", "https://a.example/", "--pattern", "a"];
        let messages = lost(&host, &[&create[..], if json { &["--json"] } else { &[] }].concat(), is_full);
        let uuid = word_after(&messages, "subscription rotate-secret ");
        assert!(messages.contains(&format!("created {name} ({uuid})")), "{messages}");
        let messages = lost(&host, &["subscription", "rotate-secret", &uuid], is_full);
        assert!(messages.contains(&format!("{name} ({uuid}) has a new secret")), "{messages}");
        let rotated = host.json(&["subscription", "rotate-secret", &uuid, "--json"]);
        let secret = rotated["secret"].as_str().unwrap();
        assert!(secret.len() == 43 && !messages.contains(secret));
    }
}

#[test]
fn lost_output_without_a_generated_secret_needs_no_rotation() {
    let host = Host::new();
    std::fs::write(host.path().join("secret"), "sixteen characters\n").unwrap();
    let create = ["subscription", "create", "--name", "a", "--url", "https://a.example/", "--pattern", "a"];
    let messages = lost(&host, &[&create[..], &["--secret-file", "secret"]].concat(), true);
    assert!(messages.contains("created a (") && !messages.contains("rotate-secret"), "{messages}");
}

#[test]
fn lost_token_is_reported_and_can_be_revoked() {
    let host = Host::new();
    for (is_full, json) in [(true, false), (false, false), (true, true)] {
        let create = ["token", "create", "--name", "ci", "--scope", "publish"];
        let messages = lost(&host, &[&create[..], if json { &["--json"] } else { &[] }].concat(), is_full);
        let id = word_after(&messages, "token revoke ");
        assert!(
            messages.contains(&format!("created token ci ({id})")) && !messages.contains("dcn_"),
            "{messages}"
        );
        let messages = lost(&host, &["token", "revoke", &id], is_full);
        assert!(messages.contains(&format!("revoked ci ({id})")), "{messages}");
    }
}

#[test]
fn lost_output_of_other_changes_is_reported() {
    let host = Host::new();
    let create = ["subscription", "create", "--name", "a", "--url", "https://a.example/", "--pattern", "a"];
    assert_eq!(code(&host.run(&create)), 0);
    for (arguments, done) in [
        (&["subscription", "pause", "a"][..], "paused a ("),
        (&["subscription", "update", "a", "--name", "b"], "updated b ("),
        (&["subscription", "rotate-secret", "b", "--revoke"], "b has no older secret"),
        (&["backup", "b.tar"], "wrote b.tar: "),
        (&["restore", "b.tar", "--data-dir", "new"], "restored catalog.db in new"),
        (&["subscription", "delete", "b"], "deleted b ("),
    ] {
        let messages = lost(&host, arguments, true);
        assert!(messages.contains(done), "{arguments:?}: {messages}");
    }
    assert!(host.path().join("b.tar").exists() && host.path().join("new/decnet.db").exists());
    assert_eq!(stdout(&host.run(&["subscription", "list", "--json"])), "[]\n");
}

#[test]
fn init_continues_without_a_reader() {
    let host = Host::new();
    let init = ["init", "--binary", "/usr/bin/decnet", "--no-start", "--prefix"];
    for (prefix, is_full) in [("full", true), ("closed", false)] {
        let messages = lost(&host, &[&init[..], &[prefix]].concat(), is_full);
        assert!(messages.contains("every step was completed"), "{messages}");
        assert_eq!(code(&host.run(&[&init[..], &["whole"]].concat())), 0);
        let files = |prefix: &str| {
            let units = host.path().join(prefix).join("etc/systemd/system");
            let names = std::fs::read_dir(units).unwrap().map(|file| file.unwrap().file_name());
            names.collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(files(prefix), files("whole"));
    }
}
