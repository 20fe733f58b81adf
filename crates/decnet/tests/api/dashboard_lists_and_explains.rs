//! The dashboard's lists: filters and orders in the URL, one delivery, topics; and the API behind them.

use decnet_testkit::{Receiver, reply};
use serde_json::{Value, json};

use crate::client::Server;
use crate::dashboard_is_protected::Browser;
use crate::support::eventually;

const HOSTILE: &str = "\"><img src=x onerror=alert(1)>{{7*7}}";

fn reader(server: &Server) -> Browser<'_> {
    Browser::log_in(server, &server.host.token("viewer", "read", &[]))
}

/// Publishes an event, and returns the delivery once it is in this state.
fn delivery(server: &Server, event: &str, id: &str, state: &str) -> String {
    server.json(202, "POST /events", event);
    let listed = server.deliveries(&format!("event_id={id}&state={state}"), 1);
    listed[0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn class_of_the_last_status_is_a_filter() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    server.subscribe_and_wait("a", &receiver, "a.>");
    let closed = "http://127.0.0.1:1/";
    server.subscribe("closed", closed, "c.d");
    for (n, (status, state)) in [(204, "delivered"), (403, "dead"), (503, "retrying")].into_iter().enumerate()
    {
        receiver.set(reply(status));
        let event = json!({"id": format!("e{n}"), "topic": "a.b"}).to_string();
        delivery(&server, &event, &format!("e{n}"), state);
    }
    eventually("the second receiver gets an event", || {
        server.json(202, "POST /events", r#"{"topic":"c.d"}"#);
        !server.json(200, "GET /deliveries?topic=c.d&state=retrying", "")["deliveries"]
            .as_array()
            .unwrap()
            .is_empty()
    });
    let found = |status: &str| -> Vec<Value> {
        let page = server.json(200, &format!("GET /deliveries?topic=a.b&status={status}"), "");
        page["deliveries"].as_array().unwrap().iter().map(|one| one["event_id"].clone()).collect()
    };
    for (status, expected) in [
        ("2xx", &["e0"][..]),
        ("3xx", &[]),
        ("4xx", &["e1"]),
        ("5xx", &["e2"]),
        ("none", &[]),
        ("4xx,5xx", &["e2", "e1"]),
    ] {
        assert_eq!(found(status), expected, "{status}");
    }
    let without = server.json(200, "GET /deliveries?topic=c.d&status=none", "");
    assert_eq!(without["deliveries"][0]["state"], "retrying", "{without}");
    let refused = server.json(422, "GET /deliveries?status=500", "");
    assert!(refused["detail"].as_str().unwrap().contains("5xx"), "{refused}");
    let filter = r#"{"filter":{"topic":"a.b","statuses":["4xx"]},"dry_run":true}"#;
    assert_eq!(server.json(202, "POST /redeliveries", filter)["total"], 1);
    let listed = server
        .host
        .json(&["delivery", "list", "--status", "5xx", "--status", "2xx", "--topic", "a.b", "--json"]);
    let ids: Vec<_> = listed.as_array().unwrap().iter().map(|one| &one["event_id"]).collect();
    assert_eq!(ids, ["e2", "e0"]);

    let browser = reader(&server);
    let page = browser.page("/deliveries?topic=a.b&status=4xx&last=15m");
    assert!(
        page.contains("<option value=\"4xx\" selected>") && page.contains("<option value=\"15m\" selected>")
    );
    assert!(page.contains("<code>e1</code>") && !page.contains("<code>e2</code>"), "{page}");
    assert!(browser.page("/deliveries?status=500").contains("is not a class of statuses"));
}

#[test]
fn id_of_a_delivery_or_a_part_of_an_events_id_finds_it() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    let uuid = server.subscribe_and_wait("siem", &receiver, "a.>");
    let id = delivery(&server, r#"{"id":"order-4711","topic":"a.b"}"#, "order-4711", "delivered");
    let browser = reader(&server);
    let found = browser.get(&format!("/deliveries?search={id}"));
    assert_eq!((found.status, found.header("location")), (303, Some(&*format!("/deliveries/{id}"))));
    let page = browser.page(&format!("/deliveries?search=-47&subscription={uuid}"));
    assert!(page.contains("order-4711") && page.contains("Deliveries to "), "{page}");
    assert!(browser.page("/deliveries?search=-48").contains("No delivery matches"));
    let listed = server.json(200, "GET /deliveries?search=r-471", "");
    assert_eq!(listed["deliveries"][0]["id"], json!(id));
    assert_eq!(browser.page("/subscriptions/names?subscription=IE").trim(), "<option value=\"siem\">");
    assert_eq!(browser.page("/subscriptions/names?subscription=x").trim(), "");
}

#[test]
fn delivery_shows_exact_numbers_and_a_command_without_secrets() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    server.subscribe_and_wait("warm", &receiver, "w");
    let url = receiver.url("/in/hunter2?token=hunter2");
    let uuid = server.subscribe("a", &url, "a.>");
    let settings = r#"{"settings":{"headers":{"X-Key":"hunter2"}}}"#;
    server.json(200, &format!("PATCH /subscriptions/{uuid}"), settings);
    let event = r#"{"id":"e1","topic":"a.b","payload":{"n":12345678901234567890,"x":1e+300,"s":"it's; rm"}}"#;
    let id = delivery(&server, event, "e1", "delivered");
    let page = reader(&server).page(&format!("/deliveries/{id}"));
    let (_, command) = page.split_once("<pre>curl ").unwrap();
    let (command, _) = command.split_once("</pre>").unwrap();
    assert!(command.contains("12345678901234567890") && command.contains("1e+300"), "{command}");
    assert!(command.contains(r"it&#39;\&#39;&#39;s; rm"), "{command}");
    assert!(
        command.contains("${RECEIVER_SECRET_X_KEY:?}") && command.contains("${RECEIVER_PATH?}"),
        "{command}"
    );
    assert!(!page.contains("hunter2") && !page.contains("[secret]\\"), "{page}");
    assert_eq!(page.matches("1e+300").count(), 2, "the event shows it too");
    assert!(page.contains("<svg class=\"steps\"") && page.contains("first byte "), "{page}");
}

#[test]
fn topics_are_listed_with_an_example() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    server.subscribe_and_wait("a", &receiver, "a.>");
    server.subscribe("b", "https://198.41.0.4/", "a.*");
    let browser = reader(&server);
    let event = json!({"id": "e2", "topic": "a.b", "payload": {"text": HOSTILE}}).to_string();
    server.json(202, "POST /events", r#"[{"id":"e1","topic":"a.b"},{"topic":"not.subscribed"}]"#);
    delivery(&server, &event, "e2", "delivered");
    let topic = || {
        let found = server.json(200, "GET /topics", "");
        found["topics"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["topic"] == "a.b")
            .cloned()
            .unwrap_or_default()
    };
    eventually("both events are counted", || topic()["events"] == 2);
    let topic = topic();
    assert_eq!((&topic["subscriptions"], &topic["example"]["event_id"]), (&json!(2), &json!("e2")));
    assert_eq!(topic["example"]["body"]["payload"]["text"], json!(HOSTILE));
    let all = server.json(200, "GET /topics", "");
    assert!(!all.to_string().contains("not.subscribed"), "it matched no subscription: {all}");
    let page = browser.page("/events");
    assert!(page.contains("&#60;img src=x") && !page.contains("<img src=x"), "{page}");
    assert!(
        page.contains("/explain?topic=a.b") && !page.contains("/subscriptions/new"),
        "a reader creates nothing"
    );
    let admin = Browser::log_in(&server, &server.host.token("ops", "admin", &[]));
    assert!(admin.page("/events").contains("/subscriptions/new?topic=a.b"));
    assert!(browser.page("/explain?topic=a.b").contains("value=\"a.b\""), "the form is filled in");
}

#[test]
fn subscriptions_are_sorted_by_their_headings() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(403)));
    for name in ["a", "c"] {
        server.subscribe(name, "https://198.41.0.4/", "x");
    }
    server.subscribe("b", &receiver.url("/"), "a.>");
    eventually("an event fails", || {
        server.json(202, "POST /events", r#"{"topic":"a.b"}"#);
        !server.json(200, "GET /deliveries?state=dead", "")["deliveries"].as_array().unwrap().is_empty()
    });
    let browser = reader(&server);
    let order = |sort: &str| {
        let page = browser.page(&format!("/subscriptions?sort={sort}"));
        let names: Vec<_> =
            ["a", "b", "c"].map(|name| (page.find(&format!("<bdi>{name}</bdi>")).unwrap(), name)).into();
        let mut names = names;
        names.sort_unstable();
        names.into_iter().map(|(_, name)| name).collect::<String>()
    };
    assert_eq!((order("name"), order("-name")), ("abc".into(), "cba".into()));
    eventually("the failure is counted", || order("-dead") == "bac");
    eventually("the failure is recorded", || order("-last_failure") == "bac");
    let page = browser.page("/subscriptions?sort=-dead&q=b&state=");
    assert!(
        page.contains("aria-sort=\"descending\"><a href=\"/subscriptions?q=b&#38;state=&#38;sort=dead\">"),
        "{page}"
    );
}

#[test]
fn cancelled_redelivery_shows_what_it_did() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(403)));
    for n in 0..5 {
        server.subscribe(&format!("s{n}"), &receiver.url("/"), "a.>");
    }
    // With a fifth failure, the subscriptions would trip.
    let events: Vec<Value> = (0..4).map(|_| json!({"topic": "a.b"})).collect();
    server.json(202, "POST /events", &json!(events).to_string());
    server.deliveries("topic=a.b&state=dead", 20);
    let browser = Browser::log_in(&server, &server.host.token("ops", "admin", &[]));
    let started = browser.post("/redeliveries", "&reason=refused&rate=1");
    let job = started.header("location").unwrap();
    assert!(browser.page("/failures").contains(job), "a running redelivery is listed");
    eventually("it has begun", || !browser.page(job).contains(" 0 were sent again"));
    assert_eq!(browser.post(&format!("{job}/cancel"), "").status, 303);
    let is_cancelled = || browser.page(job).contains("Cancelled after ");
    eventually("it has ended", is_cancelled);
    let page = browser.page(job);
    assert!(page.contains("of 20 deliveries:") && page.contains("remain as they were."), "{page}");
    assert!(browser.page("/failures").contains("Cancelled after "));
}
