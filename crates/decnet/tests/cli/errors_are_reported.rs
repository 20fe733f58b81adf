//! Exit codes and their messages.

use std::process::{Command, Stdio};

use crate::support::{Host, code, stderr, stdout};

#[test]
fn help_and_version_succeed_and_wrong_usage_exits_with_2() {
    let host = Host::new();
    for (arguments, expected) in [
        (&["--help"][..], 0),
        (&["--version"], 0),
        (&["subscription", "create", "--help"], 0),
        (&["completions", "zsh"], 0),
        (&[], 2),
        (&["nonsense"], 2),
        (&["publish"], 2),
        (&["delivery", "redeliver"], 2),
        (&["delivery", "show", "x"], 2),
        (&["delivery", "show", "1.0"], 1),
        (&["receive", "--status", "42"], 2),
    ] {
        let output = host.run(arguments);
        assert_eq!(code(&output), expected, "{arguments:?}: {}", stderr(&output));
        assert_eq!(
            expected == 0,
            !output.stdout.is_empty(),
            "{arguments:?}: data goes to stdout, errors do not"
        );
    }
}

#[test]
fn all_configuration_problems_are_reported_at_once() {
    let host = Host::new()
        .with("DECNET_WEBHOOK_TIMEOUT", "soon")
        .with("DECNET_WEBHOOK_CONCURENCY", "3")
        .with("DECNET_BUS_TYPE", "nats");
    for arguments in [&["check"][..], &["webhook"], &["publish", "a.b"]] {
        let output = host.run(arguments);
        assert_eq!(code(&output), 2, "{arguments:?}");
        let messages = stderr(&output);
        for part in ["`soon`", "did you mean DECNET_WEBHOOK_CONCURRENCY?", "NATS"] {
            assert!(messages.contains(part), "{arguments:?}: {part}: {messages}");
        }
    }
    let output = host.run(&["check", "--json"]);
    let checked: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(checked["problems"].as_array().unwrap().len(), 3);
    assert_eq!(code(&host.run(&["--help"])), 0, "help helps even then");
}

#[test]
fn check_shows_settings_with_their_sources() {
    let host = Host::new().with("DECNET_DB_PASSWORD", "hunter2").with("DECNET_WEBHOOK_TIMEOUT", "3s");
    host.write(".env.local", "DECNET_BUS_GROUP=staff\n");
    let output = host.run(&["check"]);
    let shown = stdout(&output);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(!shown.contains("hunter2"));
    let line =
        |name: &str| shown.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap().to_owned();
    assert!(
        line("DECNET_WEBHOOK_TIMEOUT").contains("3s")
            && line("DECNET_WEBHOOK_TIMEOUT").ends_with("environment")
    );
    assert!(line("DECNET_BUS_GROUP").contains("staff") && line("DECNET_BUS_GROUP").ends_with(".env.local:1"));
    assert!(line("DECNET_DB_PASSWORD").contains("[secret]"));
    assert!(shown.contains("waiting  bus:"), "a bus that is away is not a failure: {shown}");
}

#[test]
fn check_fails_for_an_invalid_catalog() {
    let host = Host::new();
    let file = host.path().join("notes.txt");
    std::fs::write(&file, "no database at all, but long enough to have a header, had it one".repeat(9))
        .unwrap();
    let host = host.with("DECNET_DB_URL", &format!("sqlite:///{}", file.display()));
    let output = host.run(&["check"]);
    assert_eq!(code(&output), 1, "{}", stdout(&output));
    assert!(stdout(&output).contains("UNUSABLE catalog"), "{}", stdout(&output));
}

#[test]
fn ignored_proxies_are_reported_without_their_urls() {
    let host = Host::new()
        .with("HTTPS_PROXY", "http://user:hunter2@proxy.example:3128")
        .with("http_proxy", "http://proxy.example:3128")
        .with("NO_PROXY", "localhost")
        .with("all_proxy", "");
    let warning = "HTTPS_PROXY (environment), http_proxy (environment) are set and ignored";
    let output = host.run(&["check", "--json"]);
    assert!(stderr(&output).contains(warning), "{}", stderr(&output));
    let checked: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(checked["warnings"][0].as_str().unwrap().starts_with(warning), "{checked}");
    assert!(!stdout(&output).contains("hunter2") && !stderr(&output).contains("hunter2"));
    let mut worker = host.start(&["webhook"]);
    let line = worker.wait_for(warning);
    assert!(!line.contains("proxy.example"), "{line}");
    // Commands that do not send requests do not mention proxies.
    assert_eq!(stderr(&host.run(&["delivery", "list"])).matches("PROXY").count(), 0);
}

#[test]
fn database_on_a_server_is_rejected() {
    let host =
        Host::new().with("DECNET_DB_URL", "mysql+asyncmy://u:hunter2@db/decnet").with("DECNET_API_PORT", "0");
    // The exit code of any invalid setting, after which a service manager does not restart the service.
    for arguments in [&["subscription", "list"][..], &["webhook"], &["api"], &["serve"]] {
        let output = host.run(arguments);
        let messages = stderr(&output);
        assert_eq!(code(&output), 2, "{arguments:?}: {messages}");
        assert!(
            messages.contains("SQLite only") && !messages.contains("hunter2"),
            "{arguments:?}: {messages}"
        );
    }
    let _bus = host.start_bus();
}

#[test]
fn agent_rejects_commands_of_the_master() {
    let host = Host::new().with("DECNET_MODE", "agent");
    for arguments in [&["webhook"][..], &["serve"], &["subscription", "list"], &["delivery", "list"]] {
        let output = host.run(arguments);
        assert_eq!(code(&output), 2, "{arguments:?}");
        assert!(
            stderr(&output).contains("configured as an agent (DECNET_MODE=agent)"),
            "{}",
            stderr(&output)
        );
    }
    assert_eq!(code(&host.run(&["check"])), 0);
    let help = stdout(&host.run(&["--help"]));
    assert!(!help.contains("  webhook ") && help.contains("  publish "), "{help}");
}

#[test]
fn mode_in_the_named_file_applies_to_help() {
    let host = Host::new();
    host.write("a.ini", "[decnet]\nmode = agent\n");
    let help = stdout(&host.run(&["--config", "a.ini", "--help"]));
    assert!(!help.contains("  webhook "), "{help}");
}

#[test]
fn closed_stdout_is_not_a_failure() {
    let host = Host::new();
    for arguments in [&["docs", "configuration"][..], &["completions", "bash"], &["--help"], &["check"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = host.command(arguments).stdout(Stdio::from(writer)).output().unwrap();
        assert_eq!((code(&output), stderr(&output).as_str()), (0, ""), "{arguments:?}");
    }
}

#[test]
fn messages_are_json_in_the_json_log_format() {
    let host = Host::new().with("DECNET_LOG_FORMAT", "json");
    host.write(".env", "nonsense\n");
    let messages = stderr(&host.run(&["check"]));
    let line: serde_json::Value = serde_json::from_str(messages.lines().next().unwrap()).unwrap();
    assert!(line["message"].as_str().unwrap().contains(".env:1"), "{line}");
}

#[test]
fn unreadable_api_secret_does_not_stop_publish() {
    let host = Host::new().with("DECNET_JWT_SECRET_FILE", "/nowhere/secret");
    let _bus = host.start_bus();
    let published = host.run(&["publish", "a.b"]);
    assert_eq!(code(&published), 0, "{}", stderr(&published));
    let api = host.run(&["api"]);
    assert!(code(&api) == 2 && stderr(&api).contains("/nowhere/secret"), "{}", stderr(&api));
}

#[test]
fn confusable_names_are_rejected() {
    let host = Host::new();
    let create = |name: &str| {
        host.run(&["subscription", "create", "--name", name, "--url", "https://s.example/", "--pattern", "a"])
    };
    assert_eq!(code(&create("siem")), 0);
    for (name, part) in [(" siem", "whitespace"), ("siem\u{2060}", "U+2060"), ("\u{202e}siem", "U+202E")] {
        let rename = host.run(&["subscription", "update", "siem", "--name", name]);
        for refused in [create(name), rename] {
            assert!(code(&refused) == 2 && stderr(&refused).contains(part), "{name:?}: {}", stderr(&refused));
        }
    }
}

/// Mounts a read-only file system at `$0` in a mount namespace of its own, then executes the arguments.
const MOUNT_READ_ONLY: &str = "mkdir -p \"$0\" && mount -t tmpfs none \"$0\" && cp -r \"$0\".before/. \"$0\" && \
                               mount -o remount,ro \"$0\" && exec \"$@\"";

#[test]
fn read_only_file_system_is_reported() {
    let tried = Command::new("unshare").args(["--user", "--map-root-user", "--mount", "true"]).output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        eprintln!("this user cannot make a mount namespace: not tested with a read-only file system");
        return;
    }
    let host = Host::new();
    let create =
        ["subscription", "create", "--name", "siem", "--url", "https://s.example/", "--pattern", "a"];
    assert_eq!(code(&host.run(&create)), 0);
    std::fs::rename(host.path().join("data"), host.path().join("data.before")).unwrap();
    std::fs::create_dir(host.path().join("empty.before")).unwrap();
    let create = [&["--data-dir", "empty"][..], &create].concat();
    for (dir, arguments) in
        [("data", &["webhook"][..]), ("data", &["subscription", "pause", "siem"]), ("empty", &create)]
    {
        let (data, command) = (host.path().join(dir), host.command(arguments));
        let expected = format!("the file system mounted at {} is read-only", data.display());
        let mut inside = Command::new("unshare");
        inside.args(["--user", "--map-root-user", "--mount", "sh", "-c", MOUNT_READ_ONLY]).arg(&data);
        inside.arg(command.get_program()).args(command.get_args()).current_dir(host.path()).env_clear();
        inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let refused = inside.env("PATH", std::env::var_os("PATH").unwrap_or_default()).output().unwrap();
        let messages = stderr(&refused);
        assert!(code(&refused) == 1 && messages.contains(&expected), "{arguments:?}: {messages}");
    }
}
