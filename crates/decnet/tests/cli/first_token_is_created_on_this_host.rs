//! The setup link of the first start: for one token, only from this host, and never in a log. Without a credential the API
//! is not reachable from other hosts.

use std::io::Write as _;

use crate::http::{Serving, ask, ask_from, connect, fresh_address};
use crate::support::{Host, code, eventually, stderr};

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";

fn serve_on_terminal(host: &Host, arguments: &[&str]) -> Serving {
    serve_on_terminal_with(host, &[arguments, &["serve"]].concat())
}

fn serve_on_terminal_with(host: &Host, arguments: &[&str]) -> Serving {
    Serving::of(host.start_on_terminal(arguments))
}

fn link_code(serving: &Serving) -> String {
    let line = serving.messages.lines().find(|line| line.contains("/setup#")).unwrap();
    line.split('#').nth(1).unwrap().trim().to_owned()
}

#[test]
fn setup_link_returns_the_same_token_until_the_token_is_used() {
    let host = Host::new().with("DECNET_API_PORT", "0");
    let serving = serve_on_terminal(&host, &["-vv"]);
    let secret = link_code(&serving);
    let page = ask(serving.address, "GET /setup", None, "");
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        page.status == 200 && policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{page:?}"
    );
    assert!(
        policy.contains("frame-ancestors 'none'") && page.header("referrer-policy") == Some("no-referrer")
    );
    assert_eq!(page.header("cache-control"), Some("no-store"));
    // The policy forbids inline scripts and styles, so the page must load its own files.
    for inline in ["<style", "style=", "<script>", " onclick=", " onsubmit=", "http:"] {
        assert!(!page.body.contains(inline), "the page contains {inline}: {}", page.body);
    }
    for (path, loaded, media_type) in [
        ("/setup.js", "src=\"/setup.js\"", "text/javascript"),
        ("/setup.css", "href=\"/setup.css\"", "text/css"),
    ] {
        let file = ask(serving.address, &format!("GET {path}"), None, "");
        let is_so = file.header("content-type").is_some_and(|given| given.starts_with(media_type));
        assert!(page.body.contains(loaded) && file.status == 200 && is_so, "{path}: {file:?}");
    }
    let post = |headers: &[&str], body: &str| {
        ask_from(fresh_address(), serving.address, "POST /setup", headers, body)
    };
    assert_eq!(post(&[FORM], "code=guess").status, 403);
    assert_eq!(post(&[FORM], "").status, 400);
    assert_eq!(post(&[FORM], &format!("code={}", "x".repeat(10_000))).status, 400);
    let rebound = post(&[FORM, "Host: rebound.example"], &format!("code={secret}"));
    assert_eq!(rebound.status, 403, "{rebound:?}");
    let made = post(&["Content-Type: application/json"], &format!("{{\"code\":\"{secret}\"}}"));
    let token = made.json()["token"].as_str().unwrap().to_owned();
    assert_eq!((made.status, made.header("cache-control")), (200, Some("no-store")));
    // A client that did not get the response may ask again, from the page or from a program.
    assert_eq!(post(&[FORM], "code=guess").status, 403);
    let page = post(&[FORM], &format!("code={secret}"));
    assert!(page.status == 200 && page.body.contains(&token), "{page:?}");
    assert_eq!(ask(serving.address, "GET /api/v1/webhooks", Some(&token), "").status, 200);
    // A browser gets a page, a program gets problem details.
    let late = post(&[FORM], &format!("code={secret}"));
    assert!(
        late.status == 404 && late.body.contains("<p>") && late.body.contains("decnet token create"),
        "{late:?}"
    );
    let listed = host.json(&["token", "list", "--json"]);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!((&listed[0]["name"], &listed[0]["scopes"][0]), (&"setup".into(), &"admin".into()));
    let recorded = host.json(&["audit", "--json"]);
    assert_eq!((&recorded[0]["actor"]["kind"], recorded.as_array().map(Vec::len)), (&"link".into(), Some(1)));
    serving.running.signal("TERM");
    let (exit, _, messages) = serving.running.finish();
    assert_eq!(exit, 0, "{messages}");
    assert!(
        messages.contains("request") && !messages.contains(&secret) && !messages.contains(&token[21..]),
        "{messages}"
    );
}

#[test]
fn unused_setup_token_is_shown_again_unless_revoked() {
    let host = Host::new().with("DECNET_API_PORT", "0");
    let serving = serve_on_terminal(&host, &[]);
    let body = format!("{{\"code\":\"{}\"}}", link_code(&serving));
    let json = ["Content-Type: application/json"];
    // The client disconnects after the request, so it does not get the response.
    let head = "POST /setup HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    connect(fresh_address(), serving.address).write_all(request.as_bytes()).unwrap();
    let made = || host.json(&["token", "list", "--json"]).as_array().unwrap().clone();
    eventually("the token is made", || !made().is_empty());
    let shown = ask_from(fresh_address(), serving.address, "POST /setup", &json, &body);
    assert_eq!((shown.status, made().len(), &shown.json()["id"]), (200, 1, &made()[0]["id"]));
    host.json(&["token", "revoke", "setup", "--json"]);
    let over = ask_from(fresh_address(), serving.address, "POST /setup", &json, &body);
    assert!(over.status == 404 && over.body.contains("decnet token create"), "{over:?}");
}

#[test]
fn setup_link_expires_once_a_token_exists() {
    let host = Host::new().with("DECNET_API_PORT", "0");
    let serving = serve_on_terminal(&host, &[]);
    let secret = link_code(&serving);
    host.token("mine", "read", &[]);
    let late = ask_from(fresh_address(), serving.address, "POST /setup", &[FORM], &format!("code={secret}"));
    assert_eq!(late.status, 404, "{late:?}");
    drop(serving);
    let again = serve_on_terminal(&host, &[]);
    assert!(!again.messages.contains("/setup"), "{}", again.messages);
    assert_eq!(ask(again.address, "GET /setup", None, "").status, 404);
}

#[test]
fn setup_link_is_printed_only_to_a_terminal() {
    let host = Host::new().with("DECNET_API_PORT", "0");
    let piped = host.serve(&[]);
    let hint = "create one with: decnet --data-dir ";
    assert!(!piped.messages.contains("/setup") && piped.messages.contains(hint), "{}", piped.messages);
    assert_eq!(ask(piped.address, "GET /setup", None, "").status, 404);
    drop(piped);
    let log = host.path().join("log");
    let mut command = host.command(&["serve"]);
    let mut child = command.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    let messages = || std::fs::read_to_string(&log).unwrap();
    eventually("the server is ready", || messages().contains("decnet is up"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!messages().contains("/setup") && messages().contains(hint), "{}", messages());
}

#[test]
fn without_a_credential_the_api_requires_loopback() {
    let host = Host::new();
    let refused = host.run(&["api", "--host", "0.0.0.0", "--port", "0"]);
    assert_eq!(code(&refused), 1);
    let messages = stderr(&refused);
    assert!(messages.contains("no credential yet") && messages.contains("decnet token create"), "{messages}");
    host.token("admin", "admin", &[]);
    let mut running = host.start(&["-v", "api", "--host", "0.0.0.0", "--port", "0"]);
    running.wait_for("the API is listening");
    running.signal("TERM");
    assert_eq!(running.finish().0, 0);
}

#[test]
fn serve_rejects_exposure_before_it_starts_anything() {
    let host = Host::new().with("DECNET_API_HOST", "0.0.0.0").with("DECNET_API_PORT", "0");
    let refused = host.run(&["serve"]);
    assert!(code(&refused) == 1 && stderr(&refused).contains("no credential yet"), "{}", stderr(&refused));
    assert!(!host.socket().exists() && !host.path().join("data/queue.db").exists());
}

#[test]
fn tokens_are_listed_without_secrets_and_have_unique_names() {
    let host = Host::new();
    let token = host.token("ci", "read,publish", &["--expires", "90d"]);
    let listed = host.json(&["token", "list", "--json"]);
    assert!(!listed.to_string().contains(&token[21..]) && listed[0]["scopes"].as_array().unwrap().len() == 2);
    assert!(listed[0]["expires_at"].is_string() && listed[0]["last_used_at"].is_null());
    for (arguments, exit, messages) in [
        (&["token", "create", "--name", "ci", "--scope", "read"][..], 1, "already"),
        (&["token", "create", "--name", "a b", "--scope", "read"], 2, "letters"),
        (&["token", "create", "--name", "x", "--scope", "root"], 2, "read, publish or admin"),
        (&["token", "create", "--name", "x", "--scope", "read", "--expires", "0s"], 2, "3650d"),
        (&["token", "create", "--name", "x"], 2, "--scope"),
        (&["token", "revoke", "nobody"], 1, "decnet token list"),
    ] {
        let output = host.run(arguments);
        assert_eq!(code(&output), exit, "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(messages), "{arguments:?}: {}", stderr(&output));
    }
    let agent = Host::new().with("DECNET_MODE", "agent").run(&["token", "list"]);
    assert!(code(&agent) == 2 && stderr(&agent).contains("DECNET_MODE=agent"), "{}", stderr(&agent));
}

/// Also tested as root: files get the owner of the directory, and a relative name has no directory part.
#[test]
fn catalog_path_may_be_relative() {
    let host = Host::new().with("DECNET_DB_URL", "sqlite:///named.db");
    let made = host.run(&["token", "create", "--name", "first", "--scope", "read"]);
    assert_eq!(code(&made), 0, "{}", stderr(&made));
    assert!(host.path().join("named.db").exists());
}

#[test]
fn demo_prints_a_login_link_on_a_terminal() {
    let host = Host::new().with("DECNET_API_PORT", "0");
    let serving = serve_on_terminal_with(&host, &["serve", "--demo"]);
    let line = serving.messages.lines().find(|line| line.contains("/login?link#dcl_")).unwrap();
    assert!(line.contains(&format!("http://{}/login", serving.address)), "{line}");
    let code = line.split('#').nth(1).unwrap().trim();
    let origin = format!("Origin: http://{}", serving.address);
    let body = format!("token={code}");
    let log_in = || ask_from(fresh_address(), serving.address, "POST /login", &[FORM, &origin], &body);
    assert_eq!((log_in().status, log_in().status), (303, 401));
    assert!(!serving.messages.contains("/setup#"), "{}", serving.messages);
    serving.running.signal("TERM");
    assert_eq!(serving.running.finish().0, 0);
}
