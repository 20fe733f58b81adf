//! The dashboard's forms: subscriptions are created, changed, previewed and tested as through the API.

use decnet_testkit::{Receiver, Request, reply};
use serde_json::{Value, json};

use crate::client::Server;
use crate::dashboard_is_protected::Browser;
use crate::support::eventually;

const TEMPLATE: &str = "{\"text\": \"{{ payload.text }}\"}\n";

/// Returns fields as a form sends them.
fn fields(fields: &[(&str, &str)]) -> String {
    fields.iter().map(|(name, value)| format!("&{name}={}", encode(value))).collect()
}

fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Returns the text of a page, with the markup of text undone.
fn unescaped(html: &str) -> String {
    [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")]
        .iter()
        .fold(html.to_owned(), |html, (escaped, text)| html.replace(escaped, text))
}

/// Returns the values of the attribute `name` of the controls in the form of a subscription, as sent without changes.
fn hidden(page: &str, name: &str) -> String {
    let field = page.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap();
    unescaped(field.split('"').next().unwrap())
}

fn subscription(server: &Server, uuid: &str) -> Value {
    server.json(200, &format!("GET /subscriptions/{uuid}"), "")
}

fn admin(server: &Server) -> String {
    server.host.token("ops", "admin", &[])
}

/// Submits an event until a subscription gets it.
fn event(server: &Server, receiver: &Receiver, topic: &str, payload: &Value) {
    let (before, body) = (receiver.count(), json!({"topic": topic, "payload": payload}).to_string());
    eventually("an event is delivered", || {
        server.json(202, "POST /events", &body);
        receiver.count() > before
    });
}

fn last(receiver: &Receiver) -> Request {
    receiver.requests().pop().unwrap()
}

#[test]
fn form_creates_what_the_api_creates() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    let token = admin(&server);
    let browser = Browser::log_in(&server, &token);
    let tiles = browser.page("/subscriptions/new");
    for format in
        ["slack", "discord", "teams", "mattermost", "splunk-hec", "elastic", "loki", "template", "plain"]
    {
        assert!(tiles.contains(&format!("/subscriptions/new?format={format}\"")), "{format}: {tiles}");
        let form = browser.page(&format!("/subscriptions/new?format={format}&topic=a.%3E"));
        assert!(form.contains("\na.&#62;</textarea>"), "{format}: {form}");
    }
    let splunk = [
        ("format", "splunk-hec"),
        ("name", "siem"),
        ("url", &receiver.url("/")),
        ("token", "hunter2-token"),
        ("topics", "a.>\r\n\r\n b.* \r\n"),
        ("min_severity", "info"),
        ("option.index", "honeypot"),
        ("batch_events", "10"),
        ("batch_linger", ""),
        ("rate", "50/s"),
        ("trace", "on"),
    ];
    let created = browser.post("/subscriptions/new", &fields(&splunk));
    assert!(created.status == 200 && created.body.contains("is created"), "{created:?}");
    let secret =
        created.body.split("class=\"secret\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let uuid = created
        .body
        .split("class=\"button\" href=\"/subscriptions/")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    let expected = json!({
        "rate": "50/s", "batch": {"max_events": 10, "linger": "1s", "format": "array"}, "trace": true, "min_severity": "info",
        "format": {"name": "splunk-hec", "options": {"index": "honeypot"}}, "headers": {"authorization": "[secret]"},
    });
    let stored = subscription(&server, &uuid);
    assert_eq!((&stored["settings"], &stored["topic_patterns"]), (&expected, &json!(["a.>", "b.*"])));
    let page = browser.page(&format!("/subscriptions/{uuid}/edit"));
    assert!(!page.contains("hunter2") && !page.contains(&secret), "the form repeats no secret");
    let tested = browser.post(&format!("/subscriptions/{uuid}/test"), "");
    assert!(tested.status == 200 && !tested.body.contains("hunter2"), "{tested:?}");
    assert_eq!(last(&receiver).header("authorization"), "Splunk hunter2-token");
}

#[test]
fn wrong_value_is_reported_at_its_field() {
    let server = Server::start();
    let token = admin(&server);
    let browser = Browser::log_in(&server, &token);
    server.subscribe("taken", "https://198.41.0.4/", "a");
    let (url, form) = ("https://198.41.0.4/hunter2", "/subscriptions/new");
    for (wrong, field, message) in [
        (("url", "ftp://a.example/typo"), "url", "http"),
        (("url", "http://10.0.0.1/"), "url", "10.0.0.1"),
        (("name", "taken"), "name", "taken"),
        (("name", ""), "name", "1 to 64 characters"),
        (("topics", "a..b"), "topics", "empty token"),
        (("topics", ""), "topics", "No usable pattern"),
        (("filter", "payload.port =="), "filter", "column 16"),
        (("rate", "fast"), "rate", ""),
        (("concurrency", "many"), "concurrency", "many"),
        (("batch_events", "100000"), "batch_events", "256"),
        (("option.index", "UPPER"), "option.index", "index"),
        (("secret", "hunter2"), "secret", "16 to 256"),
        (("auth", "bearer"), "auth", "token"),
        (("client_key", "x"), "client_certificates", "PEM"),
        (("retry_schedule", "soon"), "retry_schedule", ""),
    ] {
        let mut values = vec![("name", "new <b>"), ("url", url), ("topics", "a"), ("format", "elastic")];
        values.retain(|(name, _)| *name != wrong.0);
        values.push(wrong);
        let answer = browser.post(form, &fields(&values));
        let page = unescaped(&answer.body);
        assert!(matches!(answer.status, 409 | 422), "{wrong:?}: {answer:?}");
        let error = page.split(&format!("id=\"error-{field}\">")).nth(1);
        let error = error.unwrap_or_else(|| panic!("{wrong:?} is not reported at {field}: {page}"));
        let error = error.split("</p>").next().unwrap();
        assert!(error.contains(message) && !error.contains(" at line "), "{wrong:?}: {error}");
        let control = page.split(&format!("id=\"field-{field}\"")).nth(1).unwrap().split('>').next().unwrap();
        assert!(control.contains(" autofocus") && control.contains(&format!("error-{field}")), "{control}");
        assert!(!page.contains("hunter2"), "secrets are not repeated: {page}");
        assert!(wrong.0 != "url" || control.contains(wrong.1), "a wrong URL can be corrected: {control}");
        assert!(
            wrong.0 == "name" || answer.body.contains("value=\"new &#60;b&#62;\""),
            "what was typed is kept"
        );
    }
    assert_eq!(server.json(200, "GET /subscriptions", "")["subscriptions"].as_array().unwrap().len(), 1);
}

#[test]
fn edit_changes_only_what_differs_and_keeps_secrets() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    let settings = json!({
        "auth": {"type": "basic", "user": "soc", "password": "hunter2"}, "headers": {"x-tenant": "hunter2", "x-old": "1"},
        "filter": "payload.n > 1 ||\n  payload.n < 0", "timeout": "5s", "private_key": "whsk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    });
    let body = json!({"name": "siem", "url": receiver.url("/hunter2"), "topic_patterns": ["a.>"], "settings": settings});
    let uuid =
        server.json(201, "POST /subscriptions", &body.to_string())["uuid"].as_str().unwrap().to_owned();
    let (path, token) = (format!("/subscriptions/{uuid}/edit"), admin(&server));
    let browser = Browser::log_in(&server, &token);
    let page = browser.page(&path);
    assert!(
        !page.contains("hunter2") && page.contains("as now (basic, soc)") && page.contains("(set)"),
        "{page}"
    );
    let version = hidden(&page, "version");
    let unchanged = [
        ("version", &*version),
        ("format", "plain"),
        ("name", "siem"),
        ("topics", "a.>"),
        ("filter", "payload.n > 1 ||\r\n  payload.n < 0"),
        ("timeout", "5s"),
    ];
    let before = subscription(&server, &uuid);
    let saved = browser.post(&path, &fields(&unchanged));
    assert_eq!(saved.header("location"), Some(&*format!("/subscriptions/{uuid}")), "{saved:?}");
    assert_eq!(subscription(&server, &uuid), before, "nothing differs, so nothing changes");

    let changed = [("timeout", ""), ("rate", "9/s"), ("remove.x-old", "on"), ("clear.private_key", "on")];
    let mut values: Vec<_> = unchanged.into_iter().filter(|(name, _)| *name != "timeout").collect();
    values.extend(changed);
    assert_eq!(browser.post(&path, &fields(&values)).status, 303);
    let after = subscription(&server, &uuid)["settings"].clone();
    assert_eq!(
        (&after["rate"], &after["timeout"], &after["private_key"]),
        (&json!("9/s"), &Value::Null, &Value::Null)
    );
    assert_eq!(after["headers"], json!({"x-tenant": "[secret]"}));
    browser.post(&format!("/subscriptions/{uuid}/test"), "");
    let request = last(&receiver);
    assert_eq!((&*request.path, request.header("x-tenant")), ("/hunter2", "hunter2"));
    assert_eq!(request.header("authorization"), "Basic c29jOmh1bnRlcjI=");

    let stale = browser.post(&path, &fields(&values));
    assert!(stale.status == 412 && stale.body.contains("nothing was saved"), "{stale:?}");
    let version = hidden(&stale.body, "version");
    values.retain(|(name, _)| *name != "version");
    values.push(("version", &version));
    assert_eq!(browser.post(&path, &fields(&values)).status, 303, "the form has the current version now");
}

#[test]
fn api_refuses_a_change_that_is_based_on_an_old_version() {
    let server = Server::start();
    let uuid = server.subscribe("a", "https://198.41.0.4/", "a");
    let got = server.ask(&format!("GET /subscriptions/{uuid}"), "");
    let tag = got.header("etag").unwrap().to_owned();
    let change = |rate: &str, tag: &str| {
        let body = json!({"settings": {"rate": rate}}).to_string();
        server.ask_with(&format!("PATCH /subscriptions/{uuid}"), &[&format!("If-Match: {tag}")], &body).status
    };
    assert_eq!((change("1/s", &tag), change("2/s", &tag), change("3/s", "*")), (200, 412, 200));
    assert_eq!(subscription(&server, &uuid)["settings"]["rate"], "3/s");
}

#[test]
fn preview_shows_the_bytes_that_are_sent() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    server.subscribe_and_wait("all", &receiver, "a.>");
    let hostile = "</pre><img src=x> \u{e9}";
    event(&server, &receiver, "a.first", &json!({"text": hostile, "n": 1}));
    event(&server, &receiver, "a.second", &json!({"other": true}));
    let token = admin(&server);
    let browser = Browser::log_in(&server, &token);
    let values = [
        ("format", "template"),
        ("name", "t"),
        ("url", &*receiver.url("/x")),
        ("topics", "a.first\nnot..valid\nwarm.*"),
        ("template", TEMPLATE),
        ("filter", "payload.n == 1"),
    ];
    let count = receiver.count();
    let page = browser.post("/subscriptions/preview", &fields(&values)).body;
    assert_eq!(receiver.count(), count, "nothing is sent");
    assert!(!page.contains("<img src=x") && page.contains("not..valid"), "{page}");
    assert!(page.contains("empty token: remove the surplus dot"), "{page}");
    let shown = unescaped(&page);
    assert!(shown.contains("no pattern of the subscription matches the topic `a.second`"), "{shown}");
    assert!(
        shown.contains("the filter cannot be evaluated for the event"),
        "the warm-up has no `n`: {shown}"
    );

    let sent = sent_as_previewed(&server, &receiver, hostile);
    assert!(shown.contains(&String::from_utf8_lossy(&sent.body).into_owned()), "{shown}");
}

/// Previews a subscription, creates it, and returns the request that its receiver gets, which is the previewed one.
fn sent_as_previewed(server: &Server, receiver: &Receiver, hostile: &str) -> Request {
    let settings = json!({"format": "template", "template": TEMPLATE, "filter": "payload.n == 1"});
    let draft = json!({"url": receiver.url("/x"), "topic_patterns": ["a.first"], "settings": settings});
    let preview = server.json(200, "POST /subscriptions/preview", &draft.to_string());
    let events = preview["events"].as_array().unwrap();
    let first = events.iter().find(|event| event["topic"] == "a.first").unwrap();
    assert_eq!(
        (&first["delivered"], &first["reason"]),
        (&json!(true), &json!("severity and filter accept the event"))
    );
    let topics = preview["topics"].as_array().unwrap();
    let found = |topic: &str| topics.iter().find(|found| found["topic"] == topic).unwrap()["matches"].clone();
    assert_eq!((found("a.first"), found("a.second")), (json!(true), json!(false)));

    let body =
        json!({"name": "t", "url": receiver.url("/x"), "topic_patterns": ["a.first"], "settings": settings});
    let uuid =
        server.json(201, "POST /subscriptions", &body.to_string())["uuid"].as_str().unwrap().to_owned();
    eventually("the new subscription gets an event", || {
        server.json(
            202,
            "POST /events",
            &json!({"topic": "a.first", "payload": {"text": hostile, "n": 1}}).to_string(),
        );
        receiver.requests().iter().any(|request| request.path == "/x")
    });
    let sent = receiver.requests().into_iter().find(|request| request.path == "/x").unwrap();
    assert_eq!(first["request"]["body"]["text"].as_str().unwrap().as_bytes(), &*sent.body);
    let draft = json!({"uuid": uuid}).to_string();
    let stored = server.json(200, "POST /subscriptions/preview", &draft);
    let same = stored["events"].as_array().unwrap().iter().find(|event| event["topic"] == "a.first").unwrap();
    let header = |name: &str| {
        let headers = same["request"]["headers"].as_array().unwrap();
        headers.iter().find(|pair| pair[0] == name).unwrap()[1].as_str().unwrap().to_owned()
    };
    for name in ["x-decnet-signature", "content-type", "content-length", "host", "user-agent"] {
        assert_eq!(header(name), sent.header(name), "{name}");
    }
    sent
}

#[test]
fn invalid_settings_have_no_preview() {
    let server = Server::start();
    for (draft, problem) in [
        (json!({"settings": {"filter": "payload."}}), "filter: "),
        (json!({"topic_patterns": ["a", "b..c"]}), "pattern 1: "),
        (json!({"url": "ftp://a"}), "url: "),
        (json!({"settings": {"format": "fax"}}), "format: "),
        (json!({"settings": {"rate": "x"}}), "settings.rate: "),
    ] {
        let refused = server.json(422, "POST /subscriptions/preview", &draft.to_string());
        assert!(refused["detail"].as_str().unwrap().starts_with(problem), "{refused}");
    }
    server.json(404, "POST /subscriptions/preview", r#"{"uuid": "none"}"#);
    let token = admin(&server);
    let browser = Browser::log_in(&server, &token);
    let answer =
        browser.post("/subscriptions/preview", &fields(&[("format", "plain"), ("filter", "payload.")]));
    let page = answer.body.split("id=\"preview-result\"").nth(1).unwrap();
    assert!(answer.status == 200 && page.contains("class=\"error\"") && page.contains("Filter: "), "{page}");
}

#[test]
fn test_shows_the_whole_exchange() {
    let hostile = "<script>alert(1)</script>\u{202e}";
    let script = reply(418).header("x-odd", "a: b").body(hostile);
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    let body = json!({"name": "siem", "url": receiver.url("/hunter2"), "topic_patterns": ["a.>", "warm.up"],
        "settings": {"headers": {"x-key": "hunter2"}}});
    let uuid =
        server.json(201, "POST /subscriptions", &body.to_string())["uuid"].as_str().unwrap().to_owned();
    event(&server, &receiver, "a.b", &json!({"n": 12_345_678_901_234_567_890_u64}));
    let stored = last(&receiver);
    let id = stored.header("webhook-id");
    receiver.set(script);

    let path = format!("/subscriptions/{uuid}/test");
    let ping = server.json(200, &format!("POST {path}"), "");
    assert_eq!((&ping["delivered"], &ping["status_code"]), (&json!(false), &json!(418)));
    let sample = server.json(200, &format!("POST {path}"), r#"{"sample": "credential.captured"}"#);
    assert_eq!(sample["exchange"]["request"]["method"], "POST");
    assert_eq!(last(&receiver).header("x-decnet-event-topic"), "credential.captured");
    server.json(422, &format!("POST {path}"), r#"{"sample": "other"}"#);
    server.json(422, &format!("POST {path}"), r#"{"event_id": "none"}"#);
    server.json(422, &format!("POST {path}"), r#"{"sample": "attacker.observed", "event_id": "x"}"#);

    let tested = server.json(200, &format!("POST {path}"), &json!({"event_id": id}).to_string());
    let (sent, exchange) = (last(&receiver), &tested["exchange"]);
    assert_eq!(sent.body, stored.body);
    assert_eq!(exchange["request"]["body"]["text"].as_str().unwrap().as_bytes(), &*sent.body);
    let headers = exchange["request"]["headers"].as_array().unwrap();
    for pair in headers.iter().filter(|pair| pair[0] != "x-key") {
        assert_eq!(sent.header(pair[0].as_str().unwrap()), pair[1].as_str().unwrap(), "{pair}");
    }
    assert!(!tested.to_string().contains("hunter2"), "{tested}");
    let reply = &exchange["reply"];
    assert_eq!((&reply["status"], &reply["body"]["text"]), (&json!(418), &json!(hostile)));
    assert!(reply["headers"].as_array().unwrap().contains(&json!(["x-odd", "a: b"])), "{reply}");
    assert!(
        exchange["timings"]["first_byte_ms"].as_f64().is_some() && exchange["duration_ms"].as_f64().is_some()
    );

    let token = admin(&server);
    let browser = Browser::log_in(&server, &token);
    let form = browser.page(&format!("{path}?event_id={id}"));
    assert!(form.contains(&format!("value=\"{id}\"")) && form.contains("value=\"event\" selected"), "{form}");
    let page = browser.post(&path, &fields(&[("what", "event"), ("event_id", id)])).body;
    assert!(page.contains("12345678901234567890") && page.contains("x-odd: a: b"), "{page}");
    assert!(
        page.contains("&#60;script&#62;") && !page.contains("\u{202e}") && !page.contains("hunter2"),
        "{page}"
    );
    let absent = browser.post(&path, &fields(&[("what", "event"), ("event_id", "none")])).body;
    assert!(absent.contains("No such event was found"), "{absent}");
}
