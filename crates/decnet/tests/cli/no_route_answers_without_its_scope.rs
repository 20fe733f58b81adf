//! Every operation of the OpenAPI document, asked without a credential, with ones that count for nothing, and with
//! ones for something else.

use serde_json::Value;

use crate::http::{Serving, ask, ask_from, fresh_address};
use crate::support::{Host, eventually};

/// What answers everybody, and nothing else does.
const PUBLIC: [(&str, &str); 2] = [("GET", "/api/v1/health"), ("GET", "/api/v1/ready")];
const SCOPES: [&str; 3] = ["read", "publish", "admin"];

/// An operation of the document.
struct Operation {
    method: String,
    path: String,
    /// None where it is public.
    scope: Option<String>,
}

fn operations(serving: &Serving) -> Vec<Operation> {
    let document = ask(serving.address, "GET /openapi.json", None, "");
    assert_eq!(document.status, 200);
    let document = document.json();
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        let of_method = |(method, operation): (&String, &Value)| {
            let security = operation["security"].as_array().unwrap_or_else(|| panic!("{path} {method}"));
            let scope = security.first().map(|one| one["token"][0].as_str().unwrap().to_owned());
            let path = path.split('/').map(|part| if part.starts_with('{') { "7" } else { part });
            let path = path.collect::<Vec<_>>().join("/");
            Operation { method: method.to_uppercase(), path, scope }
        };
        item.as_object()
            .unwrap()
            .iter()
            .filter(|(key, _)| *key != "parameters")
            .map(of_method)
            .collect::<Vec<_>>()
    };
    let operations: Vec<_> = paths.iter().flat_map(of_path).collect();
    assert!(operations.len() >= 8, "{} operations", operations.len());
    operations
}

fn status(serving: &Serving, operation: &Operation, token: Option<&str>) -> u16 {
    let what = format!("{} {}", operation.method, operation.path);
    let answer = ask(serving.address, &what, token, "");
    if answer.status == 401 {
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        assert!(challenge.starts_with("Bearer "), "{what}: {answer:?}");
        assert_eq!(challenge.contains("error=\"invalid_token\""), token.is_some(), "{what}: {answer:?}");
    }
    if matches!(answer.status, 401 | 403) {
        let is_decnets = operation.path.starts_with("/api/v1/webhooks");
        assert_eq!(answer.json().as_object().unwrap().len() == 1, is_decnets, "{what}: {answer:?}");
        assert!(answer.json()["detail"].is_string(), "{what}: {answer:?}");
    }
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{what}");
    answer.status
}

/// Tokens that count for nothing, each for another reason.
fn worthless(host: &Host, good: &str) -> Vec<String> {
    let expired = host.token("expired", "admin", &["--expires", "1ms"]);
    eventually("a token expires", || {
        let all = host.json(&["token", "list", "--json"]);
        all.as_array().unwrap().iter().any(|token| token["state"] == "expired")
    });
    let revoked = host.token("revoked", "admin", &[]);
    host.json(&["token", "revoke", "revoked", "--json"]);
    let other = host.token("other", "admin", &[]);
    let (id, secret) = ("dcn_0123456789abcdef_".len(), good.len() - 1);
    vec![
        expired,
        revoked,
        // The id of one and the secret of another.
        format!("{}{}", &good[..id], &other[id..]),
        // An id that nobody has.
        format!("dcn_0000000000000000{}", &good[id - 1..]),
        format!("{}{}", &good[..secret], if good.ends_with('A') { 'B' } else { 'A' }),
        format!("{good}x"),
        "dcn_".into(),
        "garbage".into(),
        "eyJhbGciOiJub25lIn0.eyJyb2xlIjoiYWRtaW4ifQ.".into(),
    ]
}

#[test]
fn no_operation_answers_without_a_credential_that_covers_it() {
    let host = Host::new().with("DECNET_API_PORT", "0");
    let tokens = SCOPES.map(|scope| host.token(scope, scope, &[]));
    let serving = host.serve(&[]);
    let worthless = worthless(&host, &tokens[2]);
    for operation in operations(&serving) {
        let named = (operation.method.as_str(), operation.path.as_str());
        let Some(scope) = &operation.scope else {
            assert!(PUBLIC.contains(&named), "{named:?} is public, and nobody said so");
            assert!(!matches!(status(&serving, &operation, None), 401 | 403), "{named:?}");
            continue;
        };
        assert_eq!(status(&serving, &operation, None), 401, "{named:?} without a token");
        for token in &worthless {
            assert_eq!(status(&serving, &operation, Some(token)), 401, "{named:?} with {token}");
        }
        for (given, token) in SCOPES.iter().zip(&tokens) {
            let covers = *given == scope || *given == "admin";
            let status = status(&serving, &operation, Some(token));
            assert_eq!(!matches!(status, 401 | 403), covers, "{named:?} with {given}: {status}");
        }
    }
}

#[test]
fn what_is_in_no_document_gives_nothing_away() {
    let host = Host::new().with("DECNET_API_PORT", "0");
    let serving = host.serve(&[]);
    for what in ["GET /api", "GET /api/v1", "GET /api/v2/webhooks", "GET /.env", "GET /../etc/passwd"] {
        assert_eq!(ask(serving.address, what, None, "").status, 404, "{what}");
    }
    for what in [
        "TRACE /api/v1/webhooks",
        "OPTIONS /api/v1/webhooks",
        "HEAD /api/v1/webhooks",
        "GET //api/v1/webhooks",
    ] {
        let status = ask(serving.address, what, None, "").status;
        assert!((400..500).contains(&status), "{what}: {status}");
    }
}

#[test]
fn wrong_credentials_are_counted_by_address_and_lock_nobody_else_out() {
    let host = Host::new().with("DECNET_API_PORT", "0");
    let good = host.token("ci", "read", &[]);
    let serving = host.serve(&[]);
    let from = fresh_address();
    let ask_with = |from, token: &str| {
        let header = format!("Authorization: Bearer {token}");
        ask_from(from, serving.address, "GET /api/v1/version", &[&header], "")
    };
    let answers: Vec<_> = (0..31).map(|_| ask_with(from, "guess")).collect();
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert!(statuses[..30].iter().all(|status| *status == 401) && statuses[30] == 429, "{statuses:?}");
    let wait: u64 = answers[30].header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    // Whoever has a good one, from the same address, or a bad one from elsewhere, notices nothing.
    let fine = ask_with(from, &good);
    assert_eq!((fine.status, ask_with(fresh_address(), "guess").status), (200, 401));
    assert!(fine.header("ratelimit").unwrap().contains("r="), "{fine:?}");
}

#[test]
fn the_log_names_who_was_refused() {
    let host = Host::new().with("DECNET_API_PORT", "0");
    let token = host.token("sender", "publish", &[]);
    let serving = host.serve(&["-vv"]);
    assert_eq!(ask(serving.address, "GET /api/v1/version", Some(&token), "").status, 403);
    serving.running.signal("TERM");
    let (_, _, said) = serving.running.finish();
    let line = said.lines().find(|line| line.contains("status=403"));
    assert!(line.is_some_and(|line| line.contains("by=sender")), "{said}");
}

#[test]
fn pages_of_the_allow_list_may_read_answers_and_no_others() {
    let host = Host::new().with("DECNET_API_PORT", "0").with("DECNET_CORS_ORIGINS", "https://dash.example");
    let serving = host.serve(&[]);
    let preflight = |origin: &str| {
        let headers = [
            &format!("Origin: {origin}"),
            "Access-Control-Request-Method: PATCH",
            "Access-Control-Request-Headers: authorization",
        ];
        let answer = ask_from(fresh_address(), serving.address, "OPTIONS /api/v1/webhooks/7", &headers, "");
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        answer.header("access-control-allow-origin").map(str::to_owned)
    };
    assert_eq!(preflight("https://dash.example").as_deref(), Some("https://dash.example"));
    for origin in ["https://evil.example", "http://dash.example", "https://dash.example.evil.example", "null"]
    {
        assert_eq!(preflight(origin), None, "{origin}");
    }
    // A preflight carries the headers that every answer carries.
    let headers = ["Origin: https://dash.example", "Access-Control-Request-Method: GET"];
    let allowed = ask_from(fresh_address(), serving.address, "OPTIONS /api/v1/webhooks", &headers, "");
    assert_eq!((allowed.status, allowed.header("x-content-type-options")), (200, Some("nosniff")));
    // A refusal can be read too, else the page could not say what is wrong.
    let refused = ask_from(
        fresh_address(),
        serving.address,
        "GET /api/v1/webhooks",
        &["Origin: https://dash.example"],
        "",
    );
    assert_eq!(
        (refused.status, refused.header("access-control-allow-origin")),
        (401, Some("https://dash.example"))
    );
}
