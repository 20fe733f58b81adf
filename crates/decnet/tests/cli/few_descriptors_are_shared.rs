//! With few file descriptors, requests leave some to the API, the bus and the files, and do not count as receivers' failures.

use std::process::Command;

use decnet_testkit::{Receiver, reply};

use crate::http::{Serving, ask};
use crate::support::{Host, Running, code, eventually, stderr, stdout};

/// The lowest supported limit.
const LIMIT: usize = 64;
/// More receivers with an open connection each than there are descriptors.
const RECEIVERS: usize = LIMIT + 10;

/// Starts `decnet serve` with a hard limit on open files.
fn serve_limited(host: &Host) -> Serving {
    let plain = host.command(&["serve"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -n {LIMIT} && exec \"$0\" \"$@\"")]).arg(plain.get_program());
    limited.args(plain.get_args()).current_dir(host.path()).env_clear();
    limited.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut running = Running::spawn(limited);
    let warning = running.wait_for("the limit on open files is too low");
    assert!(warning.contains("limit=64 needed=1952 allowed=8 connections=256"), "{warning}");
    Serving::of(running)
}

#[test]
fn api_and_status_respond_at_the_lowest_descriptor_limit() {
    let host = Host::new().with("DECNET_API_PORT", "0").with("DECNET_WEBHOOK_ALLOW_CIDRS", "127.0.0.1/32");
    let receivers: Vec<Receiver> = (0..RECEIVERS).map(|_| Receiver::start(reply(200))).collect();
    for (index, receiver) in receivers.iter().enumerate() {
        let (name, url) = (format!("r{index}"), receiver.url("/"));
        let arguments = ["subscription", "create", "--name", &name, "--url", &url, "--pattern", "a.>"];
        assert_eq!(code(&host.run(&arguments)), 0);
    }
    let serving = serve_limited(&host);
    let token = host.token("test", "admin", &[]);
    for n in 0..5 {
        assert_eq!(
            ask(serving.address, "POST /api/v1/events", Some(&token), r#"{"topic":"a.b"}"#).status,
            202
        );
        eventually("every receiver has the event", || receivers.iter().all(|receiver| receiver.count() > n));
        assert_eq!(ask(serving.address, "GET /api/v1/subscriptions", Some(&token), "").status, 200);
        let status = host.run(&["status"]);
        assert_eq!(code(&status), 0, "{}", stderr(&status));
    }
    let listed = host.run(&["subscription", "list"]);
    assert_eq!(stdout(&listed).matches(" active ").count(), RECEIVERS, "{}", stdout(&listed));
}
