//! Options and settings that DECNET accepts are accepted here.

use std::process::Command;

use crate::http::ask;
use crate::support::{Host, code, eventually, stderr};

/// Returns the reported id of the background process.
fn process(messages: &str) -> String {
    let after =
        messages.split("in the background as process ").nth(1).unwrap_or_else(|| panic!("{messages}"));
    after.split_whitespace().next().unwrap().to_owned()
}

fn is_running(process: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn stop(process: &str) {
    assert!(Command::new("kill").arg(process).status().unwrap().success());
    eventually("the process ends", || !is_running(process));
}

#[test]
fn daemon_moves_to_the_background_once_started() {
    let host = Host::new();
    for option in ["-d", "--daemon"] {
        // `run` reads the output to its end, so the daemon must not keep it open.
        let started = host.run(&["bus", option]);
        assert_eq!(code(&started), 0, "{}", stderr(&started));
        let bus = process(&stderr(&started));
        assert!(stderr(&started).contains("logging stops here"), "{}", stderr(&started));
        assert!(is_running(&bus) && code(&host.run(&["publish", "a.b"])) == 0);
        let session = std::fs::read_to_string(format!("/proc/{bus}/stat")).unwrap();
        let fields: Vec<_> = session.rsplit(')').next().unwrap().split_whitespace().collect();
        assert_eq!(fields[3], bus, "the daemon has its own session");
        stop(&bus);
        assert!(!host.socket().exists(), "the daemon ended cleanly");
    }
    let worker = host.run(&["webhook", "-d"]);
    assert_eq!(code(&worker), 0, "{}", stderr(&worker));
    let second = host.run(&["webhook", "-d"]);
    assert_eq!(code(&second), 1, "the queue is in use: {}", stderr(&second));
    assert!(!stderr(&second).contains("in the background"), "{}", stderr(&second));
    stop(&process(&stderr(&worker)));
}

#[test]
fn error_at_start_is_reported_before_a_daemon_detaches() {
    let host = Host::new().with("DECNET_WEBHOOK_TIMEOUT", "soon");
    for name in ["bus", "webhook", "api"] {
        let refused = host.run(&[name, "-d"]);
        assert_eq!(code(&refused), 2, "{name}: {}", stderr(&refused));
        assert!(stderr(&refused).contains("not `soon`"), "{name}: {}", stderr(&refused));
    }
}

#[test]
fn daemon_keeps_logging_to_a_file() {
    let host = Host::new();
    let log = host.path().join("log");
    let status = host.command(&["bus", "-d"]).stderr(std::fs::File::create(&log).unwrap()).status().unwrap();
    assert!(status.success());
    let messages = || std::fs::read_to_string(&log).unwrap();
    stop(&process(&messages()));
    assert!(!messages().contains("logging stops here") && messages().contains("stop"), "{}", messages());
}

#[test]
fn ignored_api_options_are_accepted_and_reported() {
    let host = Host::new();
    let mut api = host.start(&["-v", "api", "--port", "0", "--log-file", "/var/log/x", "--workers", "4"]);
    let mut messages = String::new();
    api.wait_for_noting("the API is listening", &mut messages);
    assert!(
        messages.contains("--log-file has no effect") && messages.contains("--workers has no effect"),
        "{messages}"
    );
    assert_eq!(code(&host.run(&["api", "-w", "0"])), 2);
}

#[test]
fn limit_of_creations_can_be_disabled() {
    for (text, is_limited) in [("true", true), ("1", true), ("false", false)] {
        let host = Host::new().with("DECNET_API_PORT", "0").with("DECNET_LIMITER_ENABLED", text);
        let token = host.token("admin", "admin", &[]);
        let serving = host.serve(&[]);
        let from = crate::http::fresh_address();
        let create = |number: u32| {
            let body = format!(r#"{{"name":"s{number}","url":"https://192.0.2.1/","topic_patterns":["a"]}}"#);
            let authorization = format!("Authorization: Bearer {token}");
            let headers = [authorization.as_str(), "Content-Type: application/json"];
            crate::http::ask_from(from, serving.address, "POST /api/v1/webhooks", &headers, &body).status
        };
        let statuses: Vec<_> = (0..22).map(create).collect();
        let refused = statuses.iter().filter(|status| **status == 429).count();
        assert_eq!(refused, if is_limited { 2 } else { 0 }, "{text}: {statuses:?}");
        assert_eq!(ask(serving.address, "GET /api/v1/health", None, "").status, 200);
    }
}
