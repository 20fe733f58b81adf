//! Rates, latency and backlog, as the API and the dashboard show them.

use decnet_testkit::{Receiver, reply};
use serde_json::Value;

use crate::client::Server;
use crate::dashboard_is_protected::Browser;
use crate::support::eventually;

/// Returns the sum of a count over the intervals of a span.
fn sum(traffic: &Value, span: &str, count: &str) -> u64 {
    let intervals = traffic[span].as_array().unwrap().iter();
    intervals.filter_map(|interval| interval[count].as_u64()).sum()
}

#[test]
fn traffic_counts_what_was_delivered() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    let uuid = server.subscribe_and_wait("a", &receiver, "a.>");
    for _ in 0..20 {
        server.json(202, "POST /events", r#"{"topic":"a.b"}"#);
    }
    let mut traffic = Value::Null;
    eventually("all deliveries are counted", || {
        traffic = server.json(200, "GET /traffic", "");
        let count = receiver.count();
        count > 20 && ["hour", "day"].iter().all(|span| sum(&traffic, span, "delivered") == count)
    });
    assert_eq!(
        (traffic["hour"].as_array().unwrap().len(), traffic["day"].as_array().unwrap().len()),
        (60, 96)
    );
    assert!(traffic["now"]["latency_p99_ms"].as_f64().is_some_and(|p99| p99 > 0.0), "{traffic}");
    assert_eq!((sum(&traffic, "hour", "failed_attempts"), &traffic["now"]["dead"]), (0, &Value::from(0)));
    let token = server.host.token("viewer", "read", &[]);
    let browser = Browser::log_in(&server, &token);
    let page = browser.page("/");
    assert_eq!(page.matches("class=\"chart\"").count(), 4, "{page}");
    assert!(browser.page("/?range=24h").contains("24 h ago"));
    let list = browser.page("/subscriptions");
    assert!(list.contains(&uuid) && list.contains("class=\"spark\""), "{list}");
}

#[test]
fn missing_worker_is_reported_in_words() {
    let server = Server::start();
    let token = server.host.token("viewer", "read", &[]);
    let server = server.into_api_alone();
    let problem = server.json(503, "GET /traffic", "");
    assert!(problem["detail"].as_str().unwrap().starts_with("no worker answers"), "{problem}");
    let page = Browser::log_in(&server, &token).page("/");
    assert!(page.contains("No worker answers, so there are no counts"), "{page}");
}
