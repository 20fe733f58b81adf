//! Every operation of the OpenAPI document, requested without a credential, with an invalid one, and with one of another
//! scope.

use serde_json::Value;

use crate::http::{Serving, ask, ask_from, fresh_address};
use crate::support::{Host, eventually};

/// The public operations. No others may be public.
const PUBLIC: [(&str, &str); 2] = [("GET", "/api/v1/health"), ("GET", "/api/v1/ready")];
const SCOPES: [&str; 3] = ["read", "publish", "admin"];

/// An operation of the OpenAPI document.
struct Operation {
    method: String,
    path: String,
    /// The required scope; `None` for a public operation.
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

/// Returns tokens that are invalid, each for a different reason.
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
        // The id of one token and the secret of another.
        format!("{}{}", &good[..id], &other[id..]),
        // An unknown id.
        format!("dcn_0000000000000000{}", &good[id - 1..]),
        format!("{}{}", &good[..secret], if good.ends_with('A') { 'B' } else { 'A' }),
        format!("{good}x"),
        "dcn_".into(),
        "garbage".into(),
        "eyJhbGciOiJub25lIn0.eyJyb2xlIjoiYWRtaW4ifQ.".into(),
    ]
}

#[test]
fn every_operation_requires_a_credential_with_its_scope() {
    let host = Host::new().with("DECNET_API_PORT", "0");
    let tokens = SCOPES.map(|scope| host.token(scope, scope, &[]));
    let serving = host.serve(&[]);
    let worthless = worthless(&host, &tokens[2]);
    for operation in operations(&serving) {
        let named = (operation.method.as_str(), operation.path.as_str());
        let Some(scope) = &operation.scope else {
            assert!(PUBLIC.contains(&named), "{named:?} is public, and nobody messages so");
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
fn undocumented_paths_reveal_nothing() {
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
fn invalid_credentials_are_limited_per_address() {
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
    // A valid token from the same address and an invalid one from another address are not affected.
    let fine = ask_with(from, &good);
    assert_eq!((fine.status, ask_with(fresh_address(), "guess").status), (200, 401));
    assert!(fine.header("ratelimit").unwrap().contains("r="), "{fine:?}");
}

#[test]
fn rejected_requests_are_logged_with_their_token() {
    let host = Host::new().with("DECNET_API_PORT", "0");
    let token = host.token("sender", "publish", &[]);
    let serving = host.serve(&["-vv"]);
    assert_eq!(ask(serving.address, "GET /api/v1/version", Some(&token), "").status, 403);
    serving.running.signal("TERM");
    let (_, _, messages) = serving.running.finish();
    let line = messages.lines().find(|line| line.contains("status=403"));
    assert!(line.is_some_and(|line| line.contains("by=sender")), "{messages}");
}

#[test]
fn only_allowed_origins_may_read_responses() {
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
    // Pages may read error responses too, so that they can show the error.
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
