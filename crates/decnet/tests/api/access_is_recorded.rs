//! Who may do what, and who did what: tokens, one-time links, sessions of the dashboard, and the audit list.

use serde_json::{Value, json};

use crate::client::Server;
use crate::dashboard_is_protected::{Browser, log_in, origin};
use crate::http::{Answer, ask, ask_from, fresh_address};
use crate::support::code;

/// A subscription whose name is markup, and whose URL has a secret.
const HOSTILE: &str = "\"><img src=x onerror=alert(1)>{{7*7}}";
const URL: &str = "https://198.41.0.4/hunter2";

fn entries(server: &Server, query: &str) -> Vec<Value> {
    server.json(200, &format!("GET /audit{query}"), "")["entries"].as_array().unwrap().clone()
}

/// Returns the actions of entries with their objects, oldest first.
fn actions(entries: &[Value]) -> Vec<String> {
    let text = |entry: &Value| {
        format!("{} {}", entry["action"].as_str().unwrap(), entry["object"]["name"].as_str().unwrap())
    };
    entries.iter().rev().map(text).collect()
}

fn create(server: &Server, name: &str) -> String {
    server.subscribe(name, URL, "a")
}

#[test]
fn every_change_over_the_api_has_the_name_of_its_token() {
    let server = Server::start();
    let uuid = create(&server, "siem");
    let patch =
        r#"{"url":"https://198.41.0.4/hunter3","settings":{"rate":"50/s","headers":{"x-key":"hunter4"}}}"#;
    server.json(200, &format!("PATCH /subscriptions/{uuid}"), patch);
    for action in ["pause", "resume", "disable", "enable", "rotate-secret", "revoke-old-secrets"] {
        let body = if action == "rotate-secret" { "{}" } else { "" };
        server.json(200, &format!("POST /subscriptions/{uuid}/{action}"), body);
    }
    assert_eq!(server.ask(&format!("DELETE /subscriptions/{uuid}"), "").status, 204);
    let webhook =
        json!({"name": "decnet", "url": URL, "topic_patterns": ["a"], "secret": "0123456789abcdef"});
    let uuid = server.json(201, "POST /webhooks", &webhook.to_string())["uuid"].as_str().unwrap().to_owned();
    server.json(200, &format!("PATCH /webhooks/{uuid}"), r#"{"enabled":false}"#);
    server.json(200, &format!("DELETE /webhooks/{uuid}"), "");
    let created = server.json(201, "POST /tokens", r#"{"name":"ci","scopes":["read"]}"#);
    let id = created["id"].as_str().unwrap();
    assert_eq!(server.ask(&format!("DELETE /tokens/{id}"), "").status, 204);

    let all = entries(&server, "");
    let expected = [
        "create test",
        "create siem",
        "update siem",
        "pause siem",
        "resume siem",
        "disable siem",
        "enable siem",
        "rotate_secret siem",
        "revoke_old_secrets siem",
        "delete siem",
        "create decnet",
        "disable decnet",
        "delete decnet",
        "create ci",
        "revoke ci",
    ];
    assert_eq!(actions(&all), expected);
    let (first, others) = all.split_last().unwrap();
    assert_eq!(first["actor"]["kind"], "local_user", "`decnet token create` made the first token");
    for entry in others {
        assert_eq!((&entry["actor"]["kind"], &entry["actor"]["name"]), (&"token".into(), &"test".into()));
    }
    let changed = &all[all.len() - 3]["changes"];
    let url = json!({"field": "url", "from": "https://198.41.0.4/…", "to": "https://198.41.0.4/…"});
    assert_eq!((&changed[0], &changed[1]["field"]), (&url, &"headers".into()), "{changed}");
    let text = json!(all).to_string();
    for secret in ["hunter", "0123456789abcdef", created["token"].as_str().unwrap()] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[test]
fn rejected_change_has_no_entry() {
    let server = Server::start();
    let uuid = create(&server, "siem");
    create(&server, "other");
    let before = entries(&server, "");
    assert_eq!(server.ask(&format!("PATCH /subscriptions/{uuid}"), r#"{"name":"other"}"#).status, 409);
    assert_eq!(server.ask("POST /subscriptions/none/pause", "").status, 404);
    assert_eq!(server.ask("POST /tokens", r#"{"name":"test","scopes":["read"]}"#).status, 409);
    assert_eq!(server.ask("DELETE /tokens/none", "").status, 404);
    assert_eq!(entries(&server, ""), before);
}

#[test]
fn list_is_filtered_paged_and_readable_with_the_scope_read() {
    let server = Server::start();
    let uuid = create(&server, "siem");
    server.json(200, &format!("PATCH /subscriptions/{uuid}"), r#"{"name":"soc"}"#);
    assert_eq!(code(&server.host.run(&["subscription", "pause", "soc"])), 0);
    let named = |query: &str| actions(&entries(&server, query));
    assert_eq!(named(&format!("?subscription={uuid}")), ["create siem", "update soc", "pause soc"]);
    assert_eq!(named("?subscription=soc&actor=test"), ["update soc"]);
    assert_eq!(named("?since=2999-01-01T00:00:00Z"), [""; 0]);
    let page = server.json(200, "GET /audit?limit=2", "");
    let next = page["next"].as_str().unwrap();
    let rest = entries(&server, &format!("?cursor={next}"));
    assert_eq!(actions(&rest), ["create test", "create siem"]);
    for bad in ["?cursor=s1", "?limit=0", "?since=yesterday", "?who=me"] {
        assert_eq!(server.ask(&format!("GET /audit{bad}"), "").status, 422, "{bad}");
    }
    let pause = &entries(&server, "?limit=1")[0];
    let cli = server.host.json(&["audit", "--json", "--limit", "1"]);
    assert_eq!(cli, json!([pause]));
    let uid = rustix::process::getuid().as_raw().to_string();
    assert_eq!((&pause["actor"]["kind"], &pause["actor"]["id"]), (&"local_user".into(), &uid.clone().into()));
    assert_eq!(named(&format!("?actor={uid}")), ["create test", "pause soc"]);
    let shown = server.host.run(&["audit", "--since", "1h"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("name siem -> soc") && !shown.contains("hunter2"), "{shown}");
    for (scope, status) in [("read", 200), ("publish", 403)] {
        let token = server.host.token(scope, scope, &[]);
        assert_eq!(ask(server.address(), "GET /api/v1/audit", Some(&token), "").status, status, "{scope}");
    }
}

#[test]
fn changes_are_published_on_the_bus() {
    let server = Server::start();
    let mut watch = server.host.start(&["watch", "system.webhook.changed", "--count", "3"]);
    watch.wait_for("watching");
    let uuid = create(&server, "siem");
    server.json(201, "POST /tokens", r#"{"name":"ci","scopes":["read"]}"#);
    assert_eq!(code(&server.host.run(&["subscription", "pause", "siem"])), 0);
    let (exit, published, _) = watch.finish();
    assert_eq!(exit, 0);
    let mut published: Vec<Value> =
        published.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    published.sort_by_key(|event| event["payload"]["id"].as_i64());
    let recorded = entries(&server, "");
    for (event, entry) in published.iter().zip(recorded.iter().take(3).rev()) {
        let payload = &event["payload"];
        assert_eq!((&event["topic"], &event["type"]), (&"system.webhook.changed".into(), &"changed".into()));
        for field in ["id", "at", "actor", "action", "object"] {
            assert_eq!(payload[field], entry[field], "{field}: {event}");
        }
        assert_eq!(payload.as_object().unwrap().len(), 5);
    }
    assert_eq!(
        published[0]["payload"]["object"],
        json!({"kind": "subscription", "id": uuid, "name": "siem"})
    );
    assert!(!json!(published).to_string().contains("hunter2"));
}

#[test]
fn tokens_are_managed_by_admins() {
    let server = Server::start();
    let created = server.json(201, "POST /tokens", r#"{"name":"ci","scopes":["publish"],"expires":"90d"}"#);
    let token = created["token"].as_str().unwrap();
    assert_eq!((&created["state"], &created["scopes"]), (&"active".into(), &json!(["publish"])));
    assert!(created["expires_at"].is_string() && created["last_used_at"].is_null(), "{created}");
    let publish =
        |token: &str| ask(server.address(), "POST /api/v1/events", Some(token), r#"{"topic":"a"}"#).status;
    assert_eq!(publish(token), 202);
    let listed = server.ask("GET /tokens", "").body;
    assert!(
        listed.contains("\"ci\"") && !listed.contains(&token[21..]) && !listed.contains("digest"),
        "{listed}"
    );
    for body in [
        r#"{"name":"a b","scopes":["read"]}"#,
        r#"{"name":"a","scopes":[]}"#,
        r#"{"name":"a","scopes":["root"]}"#,
        r#"{"name":"a","scopes":["read"],"expires":"soon"}"#,
        r#"{"name":"a","scopes":["read"],"secret":"x"}"#,
    ] {
        assert_eq!(server.ask("POST /tokens", body).status, 422, "{body}");
    }
    let reader = server.host.token("viewer", "read", &[]);
    for what in ["GET /tokens", "POST /tokens", "DELETE /tokens/ci"] {
        let (method, path) = what.split_once(' ').unwrap();
        let what = format!("{method} /api/v1{path}");
        assert_eq!(ask(server.address(), &what, Some(&reader), "{}").status, 403, "{what}");
    }
    let id = created["id"].as_str().unwrap();
    assert_eq!(server.ask(&format!("DELETE /tokens/{id}"), "").status, 204);
    assert_eq!(server.ask(&format!("DELETE /tokens/{id}"), "").status, 409);
    assert_eq!(publish(token), 401);
}

/// Creates a link and returns its code.
fn link(server: &Server, scope: &str) -> String {
    let url = format!("http://{}", server.address());
    let made = server.host.json(&["token", "link", "--scope", scope, "--url", &url, "--json"]);
    let link = made["link"].as_str().unwrap();
    let (page, code) = link.split_once('#').unwrap();
    assert_eq!(page, format!("{url}/login?link"));
    code.to_owned()
}

fn open(server: &Server) -> Answer {
    ask_from(fresh_address(), server.address(), "GET /login?link", &[], "")
}

#[test]
fn login_link_works_once() {
    let server = Server::start();
    let code = link(&server, "admin");
    for _ in 0..2 {
        let page = open(&server);
        assert!(
            page.status == 200 && page.body.contains("logs you in once"),
            "opening it does not use it up"
        );
    }
    assert_eq!(log_in(&server, &code, "Origin: https://evil.example").status, 403);
    for wrong in [format!("{}x", &code[..code.len() - 1]), "dcl_".into(), code.replacen("dcl_", "dcn_", 1)] {
        assert!(matches!(log_in(&server, &wrong, &origin(&server)).status, 401 | 403), "{wrong}");
    }
    let as_token = code.replacen("dcl_", "dcn_", 1);
    for credential in [&code, &as_token] {
        let status = ask(server.address(), "GET /api/v1/subscriptions", Some(credential), "").status;
        assert!(matches!(status, 401 | 403), "a link is not a token: {status}");
    }
    let browser = Browser::log_in(&server, &code);
    let again = log_in(&server, &code, &origin(&server));
    assert!(again.status == 401 && again.body.contains("was used"), "{again:?}");
    assert!(again.header("set-cookie").is_none() && browser.page("/access").contains("link-"));
    let logged_in = &entries(&server, "?limit=1")[0];
    assert_eq!((&logged_in["action"], &logged_in["actor"]["kind"]), (&"log_in".into(), &"link".into()));
    let name = logged_in["object"]["name"].as_str().unwrap();
    assert_eq!(name, format!("link-{}", &code[4..12]));
    server.host.json(&["token", "revoke", name, "--json"]);
    assert_eq!(browser.get("/").status, 303, "revoking the link ends its session");
}

#[test]
fn login_link_has_its_scope() {
    let server = Server::start();
    create(&server, "siem");
    let browser = Browser::log_in(&server, &link(&server, "read"));
    assert_eq!(browser.page("/subscriptions").matches("method=\"post\"").count(), 1, "only the logout");
    assert_eq!(browser.post("/access/tokens", "&name=a&scope=read&expires=").status, 403);
    let refused = server.host.run(&["token", "link", "--scope", "publish"]);
    assert_eq!(code(&refused), 2);
    let refused = server.host.run(&["token", "link"]);
    assert_eq!(code(&refused), 2, "with port 0 the address is not known");
}

#[test]
fn dashboard_creates_a_token_once_and_revokes_it() {
    let server = Server::start();
    let admin = server.host.token("ops", "admin", &[]);
    let browser = Browser::log_in(&server, &admin);
    let created = browser.post("/access/tokens", "&name=ci&scope=read&expires=7d");
    let token = created.body.split("class=\"secret\">").nth(1).unwrap().split('<').next().unwrap();
    assert!(created.status == 200 && token.starts_with("dcn_"), "{created:?}");
    let page = browser.page("/access");
    assert!(page.contains("<bdi>ci</bdi>") && !page.contains(&token[21..]), "{page}");
    let reader = Browser::log_in(&server, token);
    let again = browser.post("/access/tokens", "&name=ci&scope=read&expires=");
    assert_eq!((again.status, again.header("location")), (303, Some("/access")));
    assert!(browser.page("/access").contains("already exists"), "the page says why");
    let id = &token[4..20];
    let confirm = browser.page(&format!("/access/tokens/{id}/revoke"));
    assert!(confirm.contains("cannot be undone") && !confirm.contains("Your own session"), "{confirm}");
    assert_eq!(browser.post(&format!("/access/tokens/{id}/revoke"), "").status, 303);
    assert!(browser.page("/access").contains("1 expired or revoked"));
    assert_eq!(reader.get("/").status, 303);
    let actors: Vec<_> =
        entries(&server, "?limit=2").iter().map(|entry| entry["actor"]["name"].clone()).collect();
    assert_eq!(actors, ["ops", "ops"]);
    assert_eq!(browser.get("/access/tokens/0000000000000000/revoke").status, 404);
}

#[test]
fn admin_ends_other_sessions() {
    let server = Server::start();
    let admin = server.host.token("ops", "admin", &[]);
    let viewer = server.host.token("viewer", "read", &[]);
    let browser = Browser::log_in(&server, &admin);
    let others: Vec<_> = [&viewer, &viewer, &admin].map(|token| Browser::log_in(&server, token)).into();
    let page = browser.page("/access");
    assert_eq!(page.matches(">this session<").count(), 1);
    let handles: Vec<_> =
        page.split("/access/sessions/").skip(1).map(|part| part.split('/').next().unwrap()).collect();
    assert_eq!(handles.len(), 4, "three others, and all others: {page}");
    let end = format!("/access/sessions/{}/end", handles[0]);
    assert_eq!(others[0].post(&end, "").status, 403, "a reader may not end sessions");
    assert_eq!(others[0].post("/access/sessions/end-others", "").status, 403);
    let alive = || others.iter().filter(|browser| browser.get("/").status == 200).count();
    assert_eq!(alive(), 3);
    assert_eq!(browser.post(&end, "").status, 303);
    assert_eq!(alive(), 2);
    assert_eq!(browser.post("/access/sessions/end-others", "").status, 303);
    assert_eq!(alive(), 0);
    assert_eq!(browser.get("/access").status, 200);
}

#[test]
fn audit_page_shows_hostile_names_as_text_to_readers() {
    let server = Server::start();
    let body = json!({"name": HOSTILE, "url": URL, "topic_patterns": ["a"]}).to_string();
    let uuid = server.json(201, "POST /subscriptions", &body)["uuid"].as_str().unwrap().to_owned();
    for n in 0..60 {
        let action = if n % 2 == 0 { "pause" } else { "resume" };
        server.json(200, &format!("POST /subscriptions/{uuid}/{action}"), "");
    }
    let viewer = server.host.token("viewer", "read", &[]);
    let browser = Browser::log_in(&server, &viewer);
    let answer = browser.get("/access");
    assert_eq!((answer.status, answer.header("location")), (303, Some("/access/audit")));
    let page = browser.page(&format!("/access/audit?subscription={uuid}"));
    assert!(page.contains("&#60;img src=x") && !page.contains("<img src=x"), "{page}");
    assert!(page.contains("resumed") && !page.contains("hunter2") && !page.contains("Tokens and sessions"));
    let older =
        page.split("rel=\"next\" href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&#38;", "&");
    let older = browser.page(&older);
    assert!(older.contains("created") && !older.contains("rel=\"next\""), "{older}");
    assert!(browser.page("/access/audit?since=yesterday").contains("must be a time"));
}
