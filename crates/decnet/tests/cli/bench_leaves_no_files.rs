//! `decnet bench`: plausible results, external requests only after confirmation, and no files left behind.

use std::path::Path;

use decnet_testkit::{Receiver, Script, reply};

use crate::support::{Host, PATIENCE, code, eventually, stderr, stdout};

/// Returns the names in the host's directory and its data directory.
fn entries(host: &Host) -> Vec<String> {
    let names = |path: &Path| {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    [names(host.path()), names(&host.path().join("data"))].concat()
}

fn loopback() -> Host {
    Host::new().with("DECNET_WEBHOOK_ALLOW_CIDRS", "127.0.0.0/8")
}

#[test]
fn built_in_receiver_needs_no_permission_and_leaves_no_files() {
    let host = Host::new();
    let figures = host.json(&["bench", "--events", "300", "--json"]);
    let throughput = figures["throughput"].as_array().unwrap();
    let deliveries: Vec<_> =
        throughput.iter().map(|one| (one["subscriptions"].as_u64(), one["deliveries"].as_u64())).collect();
    assert_eq!(deliveries, [(Some(1), Some(300)), (Some(10), Some(3000))]);
    for positive in [
        &figures["disk"]["fdatasync"]["p50_ms"],
        &figures["latency"]["p99_ms"],
        &throughput[0]["deliveries_per_second"],
        &throughput[1]["cpu_seconds_per_100_000"],
    ] {
        assert!(positive.as_f64().unwrap() > 0.0, "{figures}");
    }
    assert_eq!(figures["latency"]["count"], 300);
    assert!(figures["limit"].is_string() && figures["verdict"][1].as_str().unwrap().contains("the limit"));
    assert_eq!(entries(&host), Vec::<String>::new(), "not even a data directory");
}

#[test]
fn text_output_has_results_and_a_verdict_without_colours() {
    let host = Host::new();
    let output = host.run(&["bench", "--seconds", "1"]);
    let shown = stdout(&output);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    for part in
        ["fdatasync", "from publish to response", "to 10 subscriptions", "This machine delivers", "the limit"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains('\x1b'), "{shown}");
}

#[test]
fn external_receiver_gets_the_announced_signed_requests() {
    let (host, receiver) = (loopback(), Receiver::start(reply(200)));
    let url = receiver.url("/hook");
    let arguments = ["bench", "--receiver", &url, "--events", "40", "--yes", "--json"];
    let output = host.run(&arguments);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).contains("up to 83 real requests"), "{}", stderr(&output));
    let requests = receiver.wait_for(83, PATIENCE);
    assert_eq!(requests.len(), 83);
    for request in &requests {
        assert_eq!(request.header("x-decnet-event-topic"), "bench");
        assert!(request.header("x-decnet-signature").starts_with("sha256="));
        assert!((560..=640).contains(&request.body.len()), "{} bytes", request.body.len());
    }
    assert!(stdout(&output).contains(&receiver.url("/…")), "{}", stdout(&output));
}

#[test]
fn external_receiver_gets_nothing_without_confirmation() {
    let (host, receiver) = (loopback(), Receiver::start(reply(200)));
    let output = host.run(&["bench", "--receiver", &receiver.url("/hook")]);
    assert_eq!((code(&output), stdout(&output).as_str()), (2, ""));
    assert!(stderr(&output).contains("--yes"), "{}", stderr(&output));
    assert_eq!(code(&host.run(&["bench", "--yes"])), 2, "--yes needs --receiver");
    assert_eq!(code(&host.run(&["bench", "--seconds", "5", "--events", "9"])), 2);
    assert_eq!(receiver.count(), 0);
}

#[test]
fn forbidden_receiver_address_is_rejected() {
    let (host, receiver) = (Host::new(), Receiver::start(reply(200)));
    let output = host.run(&["bench", "--receiver", &receiver.url("/hook"), "--yes"]);
    assert_eq!((code(&output), stdout(&output).as_str()), (1, ""));
    let messages = stderr(&output);
    assert!(
        messages.contains("forbidden address 127.0.0.1") && messages.contains("DECNET_WEBHOOK_ALLOW_CIDRS"),
        "{messages}"
    );
    assert_eq!(receiver.connections(), 0);
}

#[test]
fn bench_stops_when_the_receiver_fails() {
    let (host, receiver) = (loopback(), Receiver::start(reply(503)));
    let url = receiver.url("/hook?token=hidden");
    let output = host.run(&["bench", "--receiver", &url, "--yes"]);
    assert_eq!((code(&output), stdout(&output).as_str()), (1, ""));
    assert!(
        stderr(&output).contains("status 503") && !stderr(&output).contains("hidden"),
        "{}",
        stderr(&output)
    );
    assert_eq!(receiver.count(), 1, "only the first request is sent");
    receiver.set(Script::steps([reply(200).into(), reply(200).into(), reply(500).into()]));
    let output = host.run(&["bench", "--receiver", &url, "--yes"]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("stopped because the receiver failed"), "{}", stderr(&output));
    assert!(receiver.count() < 20, "{}", receiver.count());
    assert_eq!(entries(&host), Vec::<String>::new());
}

#[test]
fn ctrl_c_ends_bench_and_removes_its_files() {
    let host = Host::new();
    let mut bench = host.start(&["bench", "--seconds", "10m"]);
    eventually("the directory exists", || {
        entries(&host).iter().any(|name| name.starts_with("decnet-bench-"))
    });
    assert!(bench.is_running());
    bench.signal("INT");
    let (code, stdout, stderr) = bench.finish();
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    assert!(stderr.contains("interrupted"), "{stderr}");
    assert_eq!(entries(&host), Vec::<String>::new());
}
