//! Status, metrics and explanations show what filters exclude, what they cannot judge, which subscriptions are held, and whose
//! credentials are refused.

use std::net::TcpStream;

use decnet_testkit::{Receiver, reply};
use serde_json::{Value, json};

use crate::support::{Host, Running, code, eventually, stderr, stdout};
use crate::worker_is_observable::{ask, sample};

const FILTER: &str = "payload.n < 3";

/// A running worker with the subscriptions `all`, `siem` with [`FILTER`], and `floor` with a minimum severity.
struct Scene {
    host: Host,
    worker: Running,
    address: String,
    _bus: Running,
    _receiver: Receiver,
}

impl Scene {
    fn new() -> Self {
        let host = Host::new().with("DECNET_METRICS_LISTEN", "127.0.0.1:0").with("DECNET_LOG", "info");
        let host = host.with("DECNET_WEBHOOK_ALLOW_CIDRS", "127.0.0.0/8");
        let severities = host.path().join("severities");
        std::fs::write(&severities, "a.> = medium\n").unwrap();
        let host = host.with("DECNET_WEBHOOK_SEVERITY_FILE", severities.to_str().unwrap());
        let receiver = Receiver::start(reply(200));
        let url = receiver.url("/");
        for (name, settings) in
            [("all", &[][..]), ("siem", &["--filter", FILTER]), ("floor", &["--min-severity", "high"])]
        {
            let create = ["subscription", "create", "--name", name, "--url", &url, "--pattern", "a.>"];
            let made = host.run(&[&create[..], settings].concat());
            assert_eq!(code(&made), 0, "{}", stderr(&made));
        }
        let bus = host.start_bus();
        let mut worker = host.start(&["webhook"]);
        let line = worker.wait_for("metrics are at");
        let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
        let is_connected = || host.json(&["status", "--json"])["worker"]["bus"] == "connected";
        eventually("it listens to the bus", is_connected);
        Self { host, worker, address, _bus: bus, _receiver: receiver }
    }

    fn publish(&self, topic: &str, payload: &str) {
        let sent = self.host.run(&["publish", topic, payload]);
        assert_eq!(code(&sent), 0, "{}", stderr(&sent));
    }

    fn subscription(&self, name: &str) -> Value {
        let status = self.host.json(&["status", "--json"]);
        let all = status["worker"]["subscriptions"].as_array().unwrap();
        all.iter().find(|subscription| subscription["name"] == name).unwrap().clone()
    }

    fn metric(&self, series: &str) -> Option<u64> {
        sample(&ask(TcpStream::connect(&self.address).unwrap(), "/metrics", "*/*"), series)
    }

    /// Returns the steps of an explanation of the event with this topic.
    fn explain(&self, subscription: &str, topic: &str) -> Vec<Value> {
        let listed =
            self.host.json(&["delivery", "list", "--subscription", "all", "--topic", topic, "--json"]);
        let id = listed[0]["event_id"].as_str().unwrap();
        self.host.json(&["explain", subscription, id, "--json"])["steps"].as_array().unwrap().clone()
    }

    /// Replaces the settings of a subscription as another program could.
    fn overwrite_settings(&self, name: &str, settings: &str) {
        let uuid = self.subscription(name)["uuid"].as_str().unwrap().to_owned();
        let catalog = rusqlite::Connection::open(self.host.path().join("data/decnet.db")).unwrap();
        let update = "UPDATE decnet_webhook_settings SET settings = ?1 WHERE uuid = ?2";
        assert_eq!(catalog.execute(update, [settings, &uuid]).unwrap(), 1);
    }
}

fn step<'s>(steps: &'s [Value], name: &str) -> &'s Value {
    steps.iter().find(|step| step["step"] == name).unwrap_or_else(|| panic!("{name} is not in {steps:?}"))
}

#[test]
fn excluded_and_unjudged_events_are_counted_and_explained() {
    let scene = Scene::new();
    for (topic, payload) in [("a.one", r#"{"n":1}"#), ("a.five", r#"{"n":5}"#), ("a.none", "{}")] {
        scene.publish(topic, payload);
    }
    eventually("each event is decided", || {
        let siem = scene.subscription("siem");
        scene.subscription("all")["delivered"] == 3 && siem["delivered"] == 1 && siem["dead"] == 1
    });
    assert_eq!(scene.subscription("siem")["excluded"], 1);
    assert_eq!(scene.subscription("floor")["excluded"], 3);
    for (series, expected) in [
        ("decnet_webhook_excluded_total", 4),
        ("decnet_webhook_subscription_excluded_total{subscription=\"siem\"}", 1),
        ("decnet_webhook_subscription_excluded_total{subscription=\"all\"}", 0),
        ("decnet_webhook_deliveries_dead_by_reason_total{reason=\"filter\"}", 1),
        ("decnet_webhook_deliveries_dead_by_reason_total{reason=\"template\"}", 0),
    ] {
        assert_eq!(scene.metric(series), Some(expected), "{series}");
    }
    let status = stdout(&scene.host.run(&["status"]));
    assert!(status.contains("EXCLUDED") && status.contains("4 excluded"), "{status}");

    assert_eq!(step(&scene.explain("siem", "a.one"), "filter")["passed"], true);
    let excluded = scene.explain("siem", "a.five");
    assert_eq!(step(&excluded, "filter")["detail"], format!("the filter excludes the event: `{FILTER}`"));
    assert_eq!(step(&excluded, "delivery")["passed"], false);
    let unjudged = scene.explain("siem", "a.none");
    let detail = step(&unjudged, "filter")["detail"].as_str().unwrap();
    assert!(detail.contains("line 1, column ") && detail.contains("cannot be evaluated"), "{detail}");
    assert!(step(&unjudged, "attempts")["detail"].as_str().unwrap().contains(": filter;"), "{unjudged:?}");
    let below = &scene.explain("floor", "a.one");
    assert_eq!(
        *step(below, "severity"),
        json!({"step": "severity", "passed": false,
            "detail": "the severity medium is below the minimum high: the event is excluded"})
    );
    let human = stdout(&scene.host.run(&["explain", "siem", "--topic", "a.one"]));
    assert!(human.contains("...  filter    the filter is undecided: it depends on the event"), "{human}");
}

#[test]
fn held_subscription_is_shown_with_the_reason() {
    let mut scene = Scene::new();
    scene.overwrite_settings("siem", r#"{"filter":"payload."}"#);
    assert_eq!(code(&scene.host.run(&["subscription", "update", "all", "--timeout", "5s"])), 0);
    eventually("the subscription is held", || scene.subscription("siem")["state"] == "held");
    let hold = scene.subscription("siem")["hold"].as_str().unwrap().to_owned();
    assert!(hold.starts_with("filter: line 1, column "), "{hold}");
    let held = "decnet_webhook_subscription_state{subscription=\"siem\",state=\"held\"}";
    assert_eq!((scene.metric(held), scene.metric("decnet_webhook_bad_rows")), (Some(1), Some(0)));
    scene.publish("a.five", r#"{"n":5}"#);
    eventually("the event waits", || scene.subscription("siem")["parked"] == 1);
    let shows = |arguments: &[&str], text: &str| {
        let shown = stdout(&scene.host.run(arguments));
        assert!(shown.contains(text), "{text} is not in\n{shown}");
    };
    shows(&["status"], &format!("held: {hold}"));
    shows(&["delivery", "list"], "parked (held)");
    shows(&["explain", "siem", "--topic", "a.b"], &format!("the subscription is held: {hold};"));
    let listed = scene.host.json(&["subscription", "list", "--json"]);
    assert!(listed.as_array().unwrap().iter().any(|row| row["problem"] == hold), "{listed}");

    scene.worker.signal("KILL");
    eventually("the worker is gone", || !scene.worker.is_running());
    let shown = stdout(&scene.host.run(&["status"]));
    assert!(shown.contains(&format!("held: {hold}")), "{shown}");
}

#[test]
fn refused_credentials_are_shown_with_the_reason() {
    let scene = Scene::new();
    let splunk = Receiver::start(reply(403).body(r#"{"text":"Invalid token","code":4}"#));
    let url = splunk.url("/");
    let create = ["subscription", "create", "--name", "splunk", "--format", "splunk-hec", "--url", &url];
    let made = scene.host.run(&[&create[..], &["--pattern", "a.>"]].concat());
    assert_eq!(code(&made), 0, "{}", stderr(&made));
    eventually("the worker has read it", || {
        scene.metric("decnet_webhook_subscription_state{subscription=\"splunk\",state=\"open\"}") == Some(1)
    });
    scene.publish("a.one", r#"{"n":1}"#);
    eventually("the subscription is tripped", || scene.subscription("splunk")["state"] == "tripped");
    let shown = scene.subscription("splunk");
    assert_eq!(shown["last_error"]["error"], "Invalid token (code 4)", "{shown}");
    assert_eq!((&shown["delivered"], &shown["dead"]), (&0.into(), &0.into()), "{shown}");
    for (series, expected) in [
        ("decnet_webhook_subscription_state{subscription=\"splunk\",state=\"tripped\"}", 1),
        ("decnet_webhook_attempts_total{outcome=\"unauthorized\"}", 1),
        ("decnet_webhook_trips_total", 1),
    ] {
        assert_eq!(scene.metric(series), Some(expected), "{series}");
    }
    let status = stdout(&scene.host.run(&["status"]));
    assert!(status.contains("Invalid token (code 4)"), "{status}");
    let steps = scene.explain("splunk", "a.one");
    let waiting = steps.iter().any(|step| step["detail"].as_str().unwrap().contains("is tripped"));
    assert!(waiting, "{steps:?}");
}
