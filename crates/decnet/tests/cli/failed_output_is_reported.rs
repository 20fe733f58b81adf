//! A command that changed something and cannot print the result reports on stderr what it did, and fails.

use std::fs::OpenOptions;
use std::process::{Output, Stdio};

use crate::support::{Host, code, stderr, stdout};

/// Runs a command whose stdout is a full disk, or nobody's.
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

/// Runs it; what it says, once it has failed and said why.
fn lost(host: &Host, arguments: &[&str], is_full: bool) -> String {
    let output = run_without_stdout(host, arguments, is_full);
    let said = stderr(&output);
    assert_eq!(code(&output), 1, "{arguments:?}: {said}");
    let why = if is_full { "No space left on device" } else { "stdout is closed" };
    assert!(said.contains("could not be written to stdout") && said.contains(why), "{arguments:?}: {said}");
    said
}

/// The word behind the last of these in a text.
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
        let said = lost(&host, &[&create[..], if json { &["--json"] } else { &[] }].concat(), is_full);
        let uuid = word_after(&said, "subscription rotate-secret ");
        assert!(said.contains(&format!("created {name} ({uuid})")), "{said}");
        let said = lost(&host, &["subscription", "rotate-secret", &uuid], is_full);
        assert!(said.contains(&format!("{name} ({uuid}) has a new secret")), "{said}");
        let rotated = host.json(&["subscription", "rotate-secret", &uuid, "--json"]);
        let secret = rotated["secret"].as_str().unwrap();
        assert!(secret.len() == 43 && !said.contains(secret));
    }
}

#[test]
fn secret_of_the_caller_needs_no_rotation() {
    let host = Host::new();
    std::fs::write(host.path().join("secret"), "sixteen characters\n").unwrap();
    let create = ["subscription", "create", "--name", "a", "--url", "https://a.example/", "--pattern", "a"];
    let said = lost(&host, &[&create[..], &["--secret-file", "secret"]].concat(), true);
    assert!(said.contains("created a (") && !said.contains("rotate-secret"), "{said}");
}

#[test]
fn lost_token_is_reported_and_can_be_revoked() {
    let host = Host::new();
    for (is_full, json) in [(true, false), (false, false), (true, true)] {
        let create = ["token", "create", "--name", "ci", "--scope", "publish"];
        let said = lost(&host, &[&create[..], if json { &["--json"] } else { &[] }].concat(), is_full);
        let id = word_after(&said, "token revoke ");
        assert!(said.contains(&format!("created token ci ({id})")) && !said.contains("dcn_"), "{said}");
        let said = lost(&host, &["token", "revoke", &id], is_full);
        assert!(said.contains(&format!("revoked ci ({id})")), "{said}");
    }
}

#[test]
fn other_changes_are_reported() {
    let host = Host::new();
    let create = ["subscription", "create", "--name", "a", "--url", "https://a.example/", "--pattern", "a"];
    assert_eq!(code(&host.run(&create)), 0);
    for (arguments, done) in [
        (&["subscription", "pause", "a"][..], "paused a ("),
        (&["subscription", "update", "a", "--name", "b"], "updated b ("),
        (&["subscription", "rotate-secret", "b", "--revoke"], "no older secret of b"),
        (&["backup", "b.tar"], "wrote b.tar: "),
        (&["restore", "b.tar", "--data-dir", "new"], "restored catalog.db in new"),
        (&["subscription", "delete", "b"], "deleted b ("),
    ] {
        let said = lost(&host, arguments, true);
        assert!(said.contains(done), "{arguments:?}: {said}");
    }
    assert!(host.path().join("b.tar").exists() && host.path().join("new/decnet.db").exists());
    assert_eq!(stdout(&host.run(&["subscription", "list", "--json"])), "[]\n");
}

#[test]
fn init_continues_without_a_reader() {
    let host = Host::new();
    let init = ["init", "--binary", "/usr/bin/decnet", "--no-start", "--prefix"];
    for (prefix, is_full) in [("full", true), ("closed", false)] {
        let said = lost(&host, &[&init[..], &[prefix]].concat(), is_full);
        assert!(said.contains("every step was completed"), "{said}");
        assert_eq!(code(&host.run(&[&init[..], &["whole"]].concat())), 0);
        let files = |prefix: &str| {
            let units = host.path().join(prefix).join("etc/systemd/system");
            let names = std::fs::read_dir(units).unwrap().map(|file| file.unwrap().file_name());
            names.collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(files(prefix), files("whole"));
    }
}
