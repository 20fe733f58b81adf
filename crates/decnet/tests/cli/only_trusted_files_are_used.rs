//! Tests that files which another user could have written or put there have no effect.

use std::os::unix::fs::{MetadataExt as _, chown};

use crate::support::{Host, code, eventually, stderr, stdout};

const PLANTED: &str =
    "DECNET_JWT_SECRET=planted-by-somebody-else-0123456789\nDECNET_DB_URL=sqlite:////tmp/theirs.db\n";

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Makes a file untrusted: root gives it to another user, other users make it writable by others.
fn give_away(host: &Host, name: &str) {
    if is_root() {
        chown(host.path().join(name), Some(65_534), Some(65_534)).unwrap();
    } else {
        host.chmod(name, 0o666);
    }
}

#[test]
fn dotenv_of_another_user_is_ignored() {
    for name in [".env.local", ".env"] {
        let host = Host::new();
        host.write(name, PLANTED);
        let setting = |name: &str| {
            let output = host.run(&["check", "--json"]);
            let checked: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            let all = checked["settings"].as_array().unwrap().clone();
            let found = all.into_iter().find(|setting| setting["name"] == name).unwrap();
            (found["source"].as_str().unwrap().to_owned(), stderr(&output))
        };
        assert!(setting("DECNET_DB_URL").0.contains(name));
        give_away(&host, name);
        for key in ["DECNET_DB_URL", "DECNET_JWT_SECRET"] {
            let (source, output) = setting(key);
            assert_eq!(source, "default", "{name}");
            assert!(
                output.contains("ignoring ") && output.contains(name) && !output.contains("planted"),
                "{output}"
            );
        }
        let created = host.run(&[
            "subscription",
            "create",
            "--name",
            "a",
            "--url",
            "https://192.0.2.1/",
            "--pattern",
            "a",
        ]);
        assert_eq!(code(&created), 0, "{}", stderr(&created));
        assert!(host.path().join("data/decnet.db").exists(), "the default catalog is used");
    }
}

#[test]
fn named_ini_must_be_trusted() {
    let host = Host::new();
    host.write("a.ini", "[bus]\ngroup = staff\n");
    assert_eq!(code(&host.run(&["--config", "a.ini", "check"])), 0);
    host.chmod("a.ini", 0o646);
    let refused = host.run(&["--config", "a.ini", "subscription", "list"]);
    assert_eq!(code(&refused), 2);
    assert!(stderr(&refused).contains("a.ini can be written by others (mode 0646)"), "{}", stderr(&refused));
    let named = Host::new().with("DECNET_CONFIG", host.path().join("a.ini").to_str().unwrap());
    assert_eq!(code(&named.run(&["bus"])), 2);
}

#[test]
fn decnets_catalog_is_found_in_its_directory() {
    let decnets = Host::new();
    decnets.json(&[
        "subscription",
        "create",
        "--name",
        "siem",
        "--url",
        "https://192.0.2.1/",
        "--pattern",
        "a",
        "--json",
    ]);
    let host = Host::new();
    std::fs::copy(decnets.path().join("data/decnet.db"), host.path().join("decnet.db")).unwrap();
    host.chmod("decnet.db", 0o600);
    let listed = host.json(&["subscription", "list", "--json"]);
    assert_eq!(listed[0]["name"], "siem");
    let mut worker = host.start(&["webhook"]);
    let output = worker.wait_for("as the catalog");
    assert!(output.contains(&host.path().join("decnet.db").display().to_string()), "{output}");
    eventually("the worker runs", || host.path().join("data/queue.db").exists());
    drop(worker);
    assert!(!host.path().join("data/decnet.db").exists());

    give_away(&host, "decnet.db");
    for arguments in [&["subscription", "list"][..], &["webhook"], &["api", "--port", "0"], &["serve"]] {
        let refused = host.run(arguments);
        assert_eq!(code(&refused), 2, "{arguments:?}: {}", stderr(&refused));
        let expected = "decnet.db may be DECNET's catalog but cannot be used";
        assert!(stderr(&refused).contains(expected), "{}", stderr(&refused));
        assert!(!host.path().join("data/decnet.db").exists(), "{arguments:?} created a second catalog");
    }
    let checked = host.run(&["check"]);
    assert!(code(&checked) == 2 && !stdout(&checked).is_empty(), "{}", stderr(&checked));
    let _bus = host.start_bus();
    assert_eq!(code(&host.run(&["publish", "a.b"])), 0, "a publisher needs no catalog");
}

#[test]
fn relative_catalog_in_a_shared_directory_is_refused() {
    let host = Host::new().with("DECNET_DB_URL", "sqlite:///named.db");
    host.chmod("", 0o1777);
    let arguments = ["token", "create", "--name", "first", "--scope", "read"];
    let refused = host.run(&arguments);
    assert_eq!(code(&refused), 2, "{}", stderr(&refused));
    assert!(stderr(&refused).contains("DECNET_DB_URL (environment) names named.db"), "{}", stderr(&refused));
    assert!(!host.path().join("named.db").exists());
    host.chmod("", 0o700);
    assert_eq!(code(&host.run(&arguments)), 0);
}

#[test]
fn demo_refuses_an_untrusted_tmpdir() {
    let host = Host::new().with("DECNET_API_PORT", "0");
    std::fs::create_dir(host.path().join("tmp")).unwrap();
    host.chmod("tmp", 0o777);
    let host = {
        let tmp = host.path().join("tmp");
        host.with("TMPDIR", tmp.to_str().unwrap())
    };
    let mut command = host.command(&["serve", "--demo"]);
    let refused = command.env_remove("DECNET_DATA_DIR").output().unwrap();
    assert_eq!(code(&refused), 1, "{}", stderr(&refused));
    assert!(stderr(&refused).contains("set TMPDIR"), "{}", stderr(&refused));
}

#[test]
fn home_of_another_user_is_not_used() {
    if !is_root() || std::path::Path::new("/run/decnet").exists() {
        // The test needs root to create another user's file, and an installed bus takes precedence over a home.
        return;
    }
    let host = Host::new();
    std::fs::create_dir(host.path().join("joe")).unwrap();
    chown(host.path().join("joe"), Some(65_534), Some(65_534)).unwrap();
    let mut command = host.command(&["check", "--json"]);
    command.env("HOME", host.path().join("joe")).env_remove("DECNET_BUS_SOCKET");
    let checked = command.output().unwrap();
    let output = stderr(&checked);
    assert!(
        output.contains("HOME is not used: ") && output.contains("belongs to another user (uid 65534)"),
        "{output}"
    );
    assert!(!stdout(&checked).contains("joe/.decnet"), "{}", stdout(&checked));
}
