//! Metrics, status, dashboard and alerts of a running worker.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use decnet_core::clock::Reading;
use decnet_runtime::clock::Clock;
use decnet_store::queue::ExternalWriter;
use decnet_testkit::{Receiver, reply};
use serde_json::{Value, json};

use crate::support::{Host, Running, code, eventually, stderr, stdout};

/// A bus, a worker, a receiver that accepts everything, and a receiver that rejects everything.
struct Scene {
    host: Host,
    worker: Running,
    address: String,
    _bus: Running,
    _receivers: [Receiver; 2],
}

impl Scene {
    fn new() -> Self {
        let host = Host::new().with("DECNET_METRICS_LISTEN", "127.0.0.1:0").with("DECNET_LOG", "info");
        let host = host.with("DECNET_WEBHOOK_ALLOW_CIDRS", "127.0.0.0/8");
        let receivers = [Receiver::start(reply(200)), Receiver::start(reply(404))];
        for (name, receiver) in ["siem", "odd \"name\""].into_iter().zip(&receivers) {
            let url = receiver.url("/");
            let made =
                host.run(&["subscription", "create", "--name", name, "--url", &url, "--pattern", "a.>"]);
            assert_eq!(code(&made), 0, "{}", stderr(&made));
        }
        let bus = host.start_bus();
        let mut worker = host.start(&["webhook"]);
        let line = worker.wait_for("metrics are at");
        let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
        let scene = Self { host, worker, address, _bus: bus, _receivers: receivers };
        eventually("it listens to the bus", || scene.status()["worker"]["bus"] == "connected");
        for n in 0..5 {
            let sent = scene.host.run(&["publish", "a.b", &format!("{{\"n\":{n}}}")]);
            assert_eq!(code(&sent), 0, "{}", stderr(&sent));
        }
        eventually("five are delivered, five are refused", || {
            let status = scene.status();
            let totals = &status["worker"]["totals"];
            totals["delivered"] == 5 && totals["dead"] == 5 && status["worker"]["counted"] == true
        });
        scene
    }

    fn status(&self) -> Value {
        self.host.json(&["status", "--json"])
    }

    fn scrape(&self, accept: &str) -> String {
        ask(TcpStream::connect(&self.address).unwrap(), "/metrics", accept)
    }

    fn socket(&self) -> std::path::PathBuf {
        self.host.path().join("data/worker.sock")
    }
}

/// Sends one request. Returns head and body of the response.
pub(crate) fn ask(mut stream: impl std::io::Read + std::io::Write, path: &str, accept: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn body(reply: &str) -> &str {
    reply.split_once("\r\n\r\n").unwrap().1
}

/// Returns the names of metrics in a scrape, including the series of histograms.
fn names(scrape: &str) -> BTreeSet<String> {
    let typed = scrape.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut names = BTreeSet::new();
    for (name, kind) in typed.filter_map(|line| line.split_once(' ')) {
        names.insert(name.to_owned());
        if kind == "histogram" {
            names.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}")));
        }
    }
    names
}

/// Returns the value of a counter in a scrape, or `None` without a sample.
pub(crate) fn sample(scrape: &str, series: &str) -> Option<u64> {
    let value = body(scrape).lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.map(|value| value.trim_end_matches(".0").parse().unwrap())
}

/// Returns the words in a text that are names of metrics.
fn mentioned(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !is_name(c));
    let prefixes = ["decnet_webhook_", "process_"];
    words.filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix))).map(Into::into).collect()
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn promtool(arguments: &[&str], input: &str) -> Option<String> {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(repository().join("packaging/prometheus"));
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.ok()?;
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let messages = stdout(&output) + &stderr(&output);
    assert!(output.status.success(), "promtool {arguments:?}: {messages}");
    Some(messages)
}

#[test]
fn scrape_is_valid_and_counts_deliveries() {
    let mut scene = Scene::new();
    let plain = scene.scrape("*/*");
    assert!(plain.contains("200 OK") && plain.contains("text/plain; version=0.0.4"), "{plain}");
    let open = scene.scrape("application/openmetrics-text; version=1.0.0");
    assert!(
        open.contains("application/openmetrics-text; version=1.0.0") && open.ends_with("# EOF\n"),
        "{open}"
    );
    for line in [
        "decnet_webhook_up 1",
        "decnet_webhook_events_admitted_total 5",
        "decnet_webhook_subscription_delivered_total{subscription=\"siem\"} 5",
        "decnet_webhook_deliveries{subscription=\"odd \\\"name\\\"\",state=\"dead\"} 5",
        "decnet_webhook_attempts_total{outcome=\"refused\"} 5",
        "decnet_webhook_delivery_latency_seconds_count 5",
    ] {
        let is_there =
            |text: &str| body(text).lines().any(|found| found == line || found == format!("{line}.0"));
        assert!(is_there(&plain) && is_there(&open), "{line} is not in\n{plain}");
    }
    for text in [&plain, &open] {
        let bounds: Vec<&str> =
            text.split("le=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        // Bounds must not show floating-point artefacts below a microsecond.
        let is_short = |bound: &&str| {
            let fraction = bound.split_once('.').map_or("", |(_, fraction)| fraction);
            **bound == *"+Inf" || (fraction.len() <= 6 && bound.parse::<f64>().is_ok())
        };
        assert!(bounds.len() > 50 && bounds.iter().all(is_short), "{bounds:?}");
        assert!(bounds.contains(&"0.1") && bounds.contains(&"0.00025"), "{bounds:?}");
    }
    match promtool(&["check", "metrics"], body(&plain)) {
        Some(messages) => assert_eq!(messages, "", "promtool has something to say"),
        None => eprintln!("promtool is not installed: the scrape was not checked with it"),
    }
    assert!(ask(TcpStream::connect(&scene.address).unwrap(), "/status", "*/*").contains("404"));
    scene.worker.signal("TERM");
    eventually("it ends", || !scene.worker.is_running());
    assert!(!scene.socket().exists(), "the socket goes with the worker");
}

#[test]
fn alert_rules_are_valid_and_use_existing_metrics() {
    let scene = Scene::new();
    let there = names(body(&scene.scrape("*/*")));
    for file in ["packaging/prometheus/decnet-alerts.yml", "packaging/grafana/decnet.json"] {
        let text = std::fs::read_to_string(repository().join(file)).unwrap();
        let missing: Vec<String> =
            mentioned(&text).into_iter().filter(|name| !there.contains(name)).collect();
        assert!(missing.is_empty(), "{file} names what no worker says: {missing:?}");
    }
    let page = std::fs::read_to_string(repository().join("docs/observability.md")).unwrap();
    let messages = mentioned(&page);
    let series = |name: &&String| !["_bucket", "_sum", "_count"].iter().any(|suffix| name.ends_with(suffix));
    let undocumented: Vec<&String> =
        there.iter().filter(series).filter(|name| !messages.contains(*name)).collect();
    assert!(undocumented.is_empty(), "docs/observability.md does not document {undocumented:?}");
    let gone: Vec<&String> = messages.iter().filter(|name| !there.contains(*name)).collect();
    assert!(gone.is_empty(), "docs/observability.md tells of what is not there: {gone:?}");
    let checked = promtool(&["check", "rules", "decnet-alerts.yml"], "")
        .and_then(|_| promtool(&["test", "rules", "decnet-alerts-test.yml"], ""));
    if checked.is_none() {
        eprintln!("promtool is not installed: the rules were not checked with it");
    }
}

#[test]
fn metrics_socket_is_private_and_survives_slow_clients() {
    let scene = Scene::new();
    let mode = std::fs::metadata(scene.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut slow = UnixStream::connect(scene.socket()).unwrap();
    slow.write_all(b"GET /met").unwrap();
    let status: Value =
        serde_json::from_str(body(&ask(UnixStream::connect(scene.socket()).unwrap(), "/status", "*/*")))
            .unwrap();
    assert_eq!(status["totals"]["admitted"], 5);
    let shown = scene.host.run(&["status"]);
    let text = stdout(&shown);
    assert_eq!(code(&shown), 0, "{}", stderr(&shown));
    for expected in ["bus connected", "siem", "open", "HTTP 404", "5 admitted"] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
}

/// Sends one request and closes the sending side. Returns the response.
fn ask_half_closed(mut stream: TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn metrics_request_must_name_this_host() {
    let host = Host::new().with("DECNET_METRICS_LISTEN", "127.0.0.1:0").with("DECNET_LOG", "info");
    let host = host.with("DECNET_METRICS_HOSTS", "metrics.example");
    let mut worker = host.start(&["webhook"]);
    let line = worker.wait_for("metrics are at");
    let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap();
    let ask = |target: &str, hosts: &str| {
        ask_half_closed(
            TcpStream::connect(address).unwrap(),
            &format!("GET {target} HTTP/1.1\r\n{hosts}\r\n"),
        )
    };
    for good in [address, "localhost:9464", "metrics.example", "[::1]:9464"] {
        let reply = ask("/metrics", &format!("Host: {good}\r\n"));
        assert!(reply.starts_with("HTTP/1.1 200"), "{good}: {reply}");
    }
    let foreign = ask("/metrics", "Host: evil.example:9464\r\n");
    assert!(foreign.starts_with("HTTP/1.1 421") && foreign.contains("DECNET_METRICS_HOSTS"), "{foreign}");
    assert!(ask("http://evil.example/metrics", "Host: localhost\r\n").starts_with("HTTP/1.1 421"));
    assert!(ask("/metrics", "").starts_with("HTTP/1.1 400"), "no Host");
    let mut socket = UnixStream::connect(host.path().join("data/worker.sock")).unwrap();
    socket.write_all(b"GET /status HTTP/1.1\r\nHost: anything\r\n\r\n").unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    let mut reply = String::new();
    socket.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 200"), "its owner's socket has no names: {reply}");
}

#[test]
fn status_reads_the_files_without_a_worker() {
    let mut scene = Scene::new();
    scene.worker.signal("KILL");
    eventually("it is gone", || !scene.worker.is_running());
    assert!(scene.socket().exists(), "nobody has cleared up");
    let shown = scene.host.run(&["status"]);
    assert_eq!(code(&shown), 1);
    assert!(stderr(&shown).contains("no worker is running on"), "{}", stderr(&shown));
    assert!(
        stdout(&shown).lines().any(|line| line.starts_with("siem") && line.contains("open")),
        "{}",
        stdout(&shown)
    );
    let mut again = scene.host.start(&["webhook"]);
    again.wait_for("connected to the bus");
    assert_eq!(scene.status()["worker"]["subscriptions"][0]["state"], "open");
}

#[test]
fn untrusted_clock_is_shown_until_it_is_confirmed() {
    const DAYS: Duration = Duration::from_secs(40 * 24 * 3600);
    let scene = Scene::new();
    let agrees = scene.host.run(&["clock"]);
    assert_eq!((code(&agrees), stdout(&agrees).contains("agrees")), (0, true), "{}", stdout(&agrees));
    // As recorded by a worker whose clock is ahead, so that the system clock appears to be behind.
    let reading = Clock::default().reading();
    let ahead = Reading { wall: reading.wall.after(DAYS), ..reading };
    ExternalWriter::open(&scene.host.path().join("data")).unwrap().confirm_clock(&ahead).unwrap();
    let behind = || scene.status()["worker"]["clock_ahead_seconds"].as_f64();
    eventually("the worker doubts the clock", || behind().is_some());
    let first = behind();
    assert!(first.unwrap() < -39.0 * 24.0 * 3600.0);
    eventually("the worker has looked at the clock again", || behind() != first);
    let status = stdout(&scene.host.run(&["status"]));
    assert!(status.contains("the system clock is 40d behind the expected time"), "{status}");
    assert!(scene.scrape("*/*").contains("decnet_webhook_retention_paused 1"));
    let shown = scene.host.run(&["clock"]);
    assert_eq!((code(&shown), stdout(&shown).contains("add --confirm")), (1, true), "{}", stdout(&shown));

    let confirmed = scene.host.json(&["clock", "--confirm", "--json"]);
    assert_eq!((&confirmed["agrees"], &confirmed["confirmed"]), (&json!(false), &json!(true)));
    eventually("the worker trusts the clock", || behind().is_none());
    assert!(scene.scrape("*/*").contains("decnet_webhook_retention_paused 0"));
    assert_eq!(code(&scene.host.run(&["clock"])), 0);
    scene.worker.signal("TERM");
    let log = scene.worker.finish().2;
    let once = |text| assert_eq!(log.matches(text).count(), 1, "{log}");
    once("the system clock is behind the time expected");
    once("the system clock is trusted again");
}

#[test]
fn retry_after_of_a_receiver_is_shown() {
    let host = Host::new().with("DECNET_LOG", "info").with("DECNET_WEBHOOK_ALLOW_CIDRS", "127.0.0.0/8");
    let receiver = Receiver::start(reply(429).retry_after("600"));
    let create =
        ["subscription", "create", "--name", "siem", "--url", &receiver.url("/"), "--pattern", "a.>"];
    assert_eq!(code(&host.run(&create)), 0);
    let _bus = host.start_bus();
    let mut worker = host.start(&["webhook"]);
    worker.wait_for("connected to the bus");
    let published = host.run_with_input(&["publish", "a.b", "-"], b"{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
    assert_eq!(code(&published), 0);
    let siem = || host.json(&["status", "--json"])["worker"]["subscriptions"][0].clone();
    eventually("the status shows the wait", || siem()["deferred_seconds"].as_f64().is_some());
    let status = stdout(&host.run(&["status"]));
    assert!(status.contains("deferred 10m") || status.contains("deferred 9m"), "{status}");
    let waits = || host.json(&["delivery", "list", "--state", "pending", "--state", "retrying", "--json"]);
    eventually("all three wait", || {
        let (listed, siem) = (waits(), siem());
        listed.as_array().unwrap().len() == 3 && siem["in_flight"] == 0
    });
    for delivery in waits().as_array().unwrap() {
        assert!(delivery["deferred_until"].is_string(), "{delivery}");
        let shown = stdout(&host.run(&["delivery", "show", delivery["id"].as_str().unwrap()]));
        assert!(shown.contains("as requested by the receiver (Retry-After)"), "{shown}");
        let is_tried = delivery["attempts"] == 1;
        assert_eq!(shown.contains("HTTP 429 Too Many Requests; asks to wait 600 s"), is_tried, "{shown}");
    }
    let shown = stdout(&host.run(&["subscription", "show", "siem"]));
    assert!(shown.contains("as requested by the receiver (Retry-After)"), "{shown}");
}

#[test]
fn commands_of_decnets_units_start_on_an_empty_host() {
    let host = Host::new();
    let socket = host.path().join("other.sock");
    let mut bus = host.start(&["bus", "-s", socket.to_str().unwrap(), "-g", "decnet", "-H", "10"]);
    bus.wait_for("the bus is listening");
    let host = host.with("DECNET_BUS_SOCKET", socket.to_str().unwrap()).with("DECNET_LOG", "info");
    let mut worker = host.start(&["webhook"]);
    worker.wait_for("connected to the bus");
    worker.signal("TERM");
    assert_eq!(worker.finish().0, 0);
    let mode = std::fs::metadata(host.path().join("data")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "it holds every secret");
    assert!(host.path().join("data/queue.db").exists());
}

#[test]
fn events_dropped_by_the_bus_are_shown() {
    let host = Host::new().with("DECNET_METRICS_LISTEN", "127.0.0.1:0").with("DECNET_LOG", "info");
    let host = host.with("DECNET_WEBHOOK_ALLOW_CIDRS", "127.0.0.0/8");
    let receiver = Receiver::start(reply(200));
    let url = receiver.url("/");
    let made = host.run(&["subscription", "create", "--name", "siem", "--url", &url, "--pattern", "a.>"]);
    assert_eq!(code(&made), 0, "{}", stderr(&made));
    let mut bus = host.start(&["bus", "--heartbeat", "100ms"]);
    bus.wait_for("the bus is listening");
    let mut worker = host.start(&["webhook"]);
    let line = worker.wait_for("metrics are at");
    let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap();
    let scrape = || ask(TcpStream::connect(address).unwrap(), "/metrics", "*/*");
    let ordinary = "decnet_webhook_bus_events_dropped_total{reader=\"ordinary\"}";
    eventually("the bus has reported its counters", || sample(&scrape(), ordinary) == Some(0));

    let mut idle = UnixStream::connect(host.socket()).unwrap();
    idle.write_all(b"SUB n.>\n\0\0\0\0").unwrap();
    let payload = serde_json::json!({ "pad": "x".repeat(1000) }).to_string();
    eventually("what the idle reader does not take is counted", || {
        let sent = host.run(&["publish", "n.x", &payload, "--count", "2000"]);
        assert_eq!(code(&sent), 0, "{}", stderr(&sent));
        sample(&scrape(), ordinary) > Some(0)
    });
    let scraped = scrape();
    let lossless = "decnet_webhook_bus_events_dropped_total{reader=\"lossless\"}";
    assert_eq!(sample(&scraped, lossless), Some(0), "the worker missed nothing");
    assert_eq!(sample(&scraped, "decnet_webhook_bus_publisher_pauses_total"), Some(0));
    let losses = &host.json(&["status", "--json"])["worker"]["bus_losses"];
    assert!(losses["dropped_ordinary"].as_u64() >= sample(&scraped, ordinary), "{losses}");
    let shown = stdout(&host.run(&["status"]));
    assert!(shown.contains("since its start the bus dropped 0 events for workers and"), "{shown}");
}
