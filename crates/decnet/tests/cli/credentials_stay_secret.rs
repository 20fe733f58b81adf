//! Credentials of a subscription, from files to the catalog: they are summarized, and no output contains them.

use decnet_testkit::{Receiver, reply};
use serde_json::{Value, json};

use crate::support::{Host, code, stderr, stdout};

const PEM: &str = "-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----\n";

/// Creates a host with a subscription and files with secrets.
fn host() -> Host {
    let host = Host::new();
    for (name, text) in [
        ("basic", "soc:hunter2:x\n"),
        ("bearer", "hunter2-token\n"),
        ("secret", "hunter2-secret\n"),
        ("pem", PEM),
        ("bad", "hunter2\u{e9}\n"),
        ("empty", "\n"),
    ] {
        host.write(name, text);
    }
    host.json(&[
        "subscription",
        "create",
        "--name",
        "siem",
        "--url",
        "https://a.example/",
        "--pattern",
        "a.>",
        "--json",
    ]);
    host
}

fn update(host: &Host, change: &[&str]) -> Value {
    host.json(&[&["subscription", "update", "siem", "--json"][..], change].concat())["settings"].clone()
}

const OAUTH2: [&str; 11] = [
    "--oauth2-token-url",
    "https://login.example/hunter2/token",
    "--oauth2-client-id",
    "decnet",
    "--oauth2-client-secret-file",
    "secret",
    "--oauth2-scope",
    "a b",
    "--oauth2-audience",
    "api",
    "--oauth2-in-body",
];

#[test]
fn each_credential_is_set_summarized_and_removed() {
    let host = host();
    let basic = json!({"type": "basic", "user": "soc", "password": "[secret]"});
    assert_eq!(update(&host, &["--basic-auth-file", "basic"]), json!({"auth": basic}));
    let bearer = json!({"auth": {"type": "bearer", "token": "[secret]"}});
    assert_eq!(update(&host, &["--bearer-file", "bearer"]), bearer);
    let oauth2 = json!({"type": "oauth2", "token_url": "https://login.example/…", "client_id": "decnet",
        "client_secret": "[secret]", "scope": "a b", "audience": "api", "in_body": true});
    assert_eq!(update(&host, &OAUTH2), json!({ "auth": oauth2 }));
    let shown = stdout(&host.run(&["subscription", "show", "siem"]));
    assert!(shown.contains("OAuth 2.0 client decnet of https://login.example/…"), "{shown}");
    assert_eq!(update(&host, &["--no-auth"]), json!({}));
    let key = host.json(&["subscription", "key", "--file", "key", "--json"]);
    assert_eq!(update(&host, &["--private-key-file", "key"]), json!({"private_key": "[secret]"}));
    let shown = stdout(&host.run(&["subscription", "show", "siem"]));
    assert!(shown.contains(key["public_key"].as_str().unwrap()), "{shown}");
    assert_eq!(update(&host, &["--no-private-key"]), json!({}));
}

#[test]
fn no_output_contains_a_credential() {
    let receiver = Receiver::start(reply(200));
    let host = host();
    update(&host, &OAUTH2);
    let commands: [&[&str]; 9] = [
        &["subscription", "list"],
        &["subscription", "list", "--json"],
        &["subscription", "show", "siem"],
        &["subscription", "show", "siem", "--json"],
        &["subscription", "update", "siem", "--bearer-file", "bearer", "-vv"],
        &["subscription", "update", "siem", "--basic-auth-file", "basic", "--json"],
        &["subscription", "update", "siem", "--url", &receiver.url("/"), "-vv"],
        &["check", "--json"],
        &["key", "status"],
    ];
    for arguments in commands {
        let output = host.run(arguments);
        let all = stdout(&output) + &stderr(&output);
        assert!(code(&output) <= 1 && !all.contains("hunter2"), "{arguments:?}:\n{all}");
    }
}

#[test]
fn invalid_credentials_are_rejected_without_their_text() {
    let host = host();
    let both = ["--header", "authorization: x", "--bearer-file", "bearer"];
    for (arguments, part) in [
        (&["--basic-auth-file", "bearer"][..], "user:password"),
        (&["--bearer-file", "bad"], "printable ASCII"),
        (&["--bearer-file", "empty"], "first line"),
        (&["--trust-roots", "bearer"], "PEM"),
        (&["--client-cert", "pem"], "--client-key"),
        (&["--trust-roots", "pem"], "the trusted certificates cannot be read"),
        (&["--client-cert", "pem", "--client-key", "pem"], "the client certificate cannot be read"),
        (&["--private-key-file", "bearer"], "decnet subscription key"),
        (
            &[
                "--oauth2-token-url",
                "hunter2",
                "--oauth2-client-id",
                "x",
                "--oauth2-client-secret-file",
                "secret",
            ],
            "https://host/path",
        ),
        (&["--oauth2-token-url", "https://a.example/hunter2"], "--oauth2-client-id"),
        (&["--bearer-file", "bearer", "--no-auth"], "cannot be used with"),
        (&both, "only one of"),
    ] {
        let output = host.run(&[&["subscription", "update", "siem"][..], arguments].concat());
        let messages = stderr(&output);
        assert!(matches!(code(&output), 1 | 2) && messages.contains(part), "{arguments:?}: {messages}");
        assert!(!messages.contains("hunter2"), "{arguments:?}: {messages}");
    }
}

#[test]
fn private_key_file_belongs_to_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let host = host();
    let shown = host.json(&["subscription", "key", "--json"]);
    assert!(shown["private_key"].as_str().unwrap().starts_with("whsk_"));
    let made = host.json(&["subscription", "key", "--file", "key", "--json"]);
    assert_eq!(made["private_key"], Value::Null);
    assert!(
        made["public_key"].as_str().unwrap().starts_with("whpk_")
            && made["public_key"] != shown["public_key"]
    );
    let file = host.path().join("key");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let again = host.run(&["subscription", "key", "--file", "key"]);
    assert!(code(&again) == 1 && stderr(&again).contains("cannot create key"), "{}", stderr(&again));
}
