//! Sessions of DECNET's dashboard, signed with the shared secret and authorized by DECNET's tables.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use decnet_core::redact::Secret;
use decnet_core::signature::SigningKey;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::http::{Serving, ask, ask_from, fresh_address};
use crate::support::Host;

const SECRET: &str = "a secret of more than thirty-two characters";

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn sign(header: &Value, claims: &Value, secret: &str) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let hex = SigningKey::new(&Secret::new(secret)).decnet(signed.as_bytes());
    let hex = hex.trim_start_matches("sha256=");
    let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(bytes.collect::<Vec<_>>()))
}

fn claims(user: &str) -> Value {
    json!({"uuid": user, "jti": format!("j-{user}"), "typ": "access", "iss": "decnet", "aud": "decnet-dashboard",
           "iat": now() - 10, "exp": now() + 600})
}

fn session(claims: &Value) -> String {
    sign(&json!({"alg": "HS256", "typ": "JWT"}), claims, SECRET)
}

fn status(serving: &Serving, path: &str, token: &str) -> (u16, String) {
    let answer = ask(serving.address, &format!("GET {path}"), Some(token), "");
    let detail =
        if answer.status == 200 { String::new() } else { answer.json()["detail"].as_str().unwrap().into() };
    (answer.status, detail)
}

fn serving() -> (Host, Serving) {
    let host = Host::new().with("DECNET_API_PORT", "0").with("DECNET_JWT_SECRET", SECRET);
    let serving = host.serve(&["-vv"]);
    assert!(!serving.messages.contains("/setup"), "a session is a credential: {}", serving.messages);
    (host, serving)
}

const WEBHOOKS: &str = "/api/v1/webhooks";

#[test]
fn session_has_the_scope_of_its_user_in_decnets_tables() {
    let (host, serving) = serving();
    let catalog = Connection::open(host.path().join("data/decnet.db")).unwrap();
    let tables = "
        CREATE TABLE users (uuid VARCHAR PRIMARY KEY, username VARCHAR, password_hash VARCHAR, role VARCHAR,
          must_change_password BOOLEAN, tokens_valid_from DATETIME);
        CREATE TABLE revoked_tokens (jti VARCHAR PRIMARY KEY, user_uuid VARCHAR, expires_at DATETIME, revoked_at DATETIME);
        INSERT INTO users VALUES ('admin', 'a', 'h', 'admin', 0, NULL), ('viewer', 'b', 'h', 'viewer', 0, NULL),
          ('new', 'c', 'h', 'admin', 1, NULL), ('changed', 'd', 'h', 'admin', 0, '2100-01-01 00:00:00.000000'),
          ('left', 'e', 'h', 'admin', 0, NULL);
        INSERT INTO revoked_tokens VALUES ('j-left', 'left', '2100-01-01 00:00:00', '2026-01-01 00:00:00');";
    catalog.execute_batch(tables).unwrap();
    let invalid = (401, "Could not validate credentials".to_owned());
    for (user, expected) in [
        ("admin", (200, String::new())),
        ("viewer", (403, "Insufficient permissions".into())),
        ("new", (403, "Password change required before accessing this resource".into())),
        ("changed", invalid.clone()),
        ("left", invalid.clone()),
        ("nobody", invalid.clone()),
    ] {
        assert_eq!(status(&serving, WEBHOOKS, &session(&claims(user))), expected, "{user}");
    }
    assert_eq!(status(&serving, "/api/v1/version", &session(&claims("viewer"))).0, 200);
    let mut escalated = claims("viewer");
    escalated["role"] = "admin".into();
    assert_eq!(status(&serving, WEBHOOKS, &session(&escalated)).0, 403);
    // A logout in DECNET applies here at once.
    catalog.execute("INSERT INTO revoked_tokens VALUES ('j-admin', 'admin', '', '')", []).unwrap();
    assert_eq!(status(&serving, WEBHOOKS, &session(&claims("admin"))), invalid);
}

#[test]
fn without_decnets_tables_only_admin_sessions_have_a_scope() {
    let (_host, serving) = serving();
    let with_role = |role: &str| {
        let mut claims = claims("u");
        claims["role"] = role.into();
        status(&serving, WEBHOOKS, &session(&claims)).0
    };
    assert_eq!((with_role("admin"), with_role("viewer")), (200, 403));
    assert_eq!(status(&serving, WEBHOOKS, &session(&claims("u"))).0, 403);
}

#[test]
fn session_of_decnet_logs_in_to_the_dashboard() {
    let (_host, serving) = serving();
    let mut admin = claims("u");
    admin["role"] = "admin".into();
    let origin = format!("Origin: http://{}", serving.address);
    let log_in = |token: &str| {
        let form = "Content-Type: application/x-www-form-urlencoded";
        let body = format!("token={token}");
        ask_from(fresh_address(), serving.address, "POST /login", &[form, &origin], &body)
    };
    let answer = log_in(&session(&admin));
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")), "{answer:?}");
    let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap();
    let cookie = format!("Cookie: {cookie}");
    let page = ask_from(fresh_address(), serving.address, "GET /access", &[&cookie], "");
    assert!(page.status == 200 && page.body.contains("user of DECNET"), "{page:?}");
    let created = ask(
        serving.address,
        "POST /api/v1/tokens",
        Some(&session(&admin)),
        r#"{"name":"ci","scopes":["read"]}"#,
    );
    assert_eq!(created.status, 201, "{created:?}");
    let audit = ask(serving.address, "GET /api/v1/audit", Some(&session(&admin)), "").json();
    assert_eq!(audit["entries"][0]["actor"], json!({"kind": "decnet_user", "id": "u", "name": "u"}));
    assert_eq!(log_in(&session(&claims("u"))).status, 403, "without a role there are no rights");
    admin["exp"] = (now() - 1).into();
    assert_eq!(log_in(&session(&admin)).status, 401);
}

#[test]
fn forged_and_stale_sessions_are_rejected_and_not_logged() {
    let (_host, serving) = serving();
    let mut admin = claims("u");
    admin["role"] = "admin".into();
    let with = |name: &str, value: Value| {
        let mut claims = admin.clone();
        claims[name] = value;
        session(&claims)
    };
    let header = json!({"alg": "HS256", "typ": "JWT"});
    let good = session(&admin);
    let unsigned = sign(&json!({"alg": "none"}), &admin, SECRET);
    let forged = [
        sign(&header, &admin, "another secret of thirty-two characters"),
        unsigned.rsplit_once('.').unwrap().0.to_owned() + ".",
        unsigned,
        sign(&json!({"alg": "HS512"}), &admin, SECRET),
        with("exp", (now() - 1).into()),
        with("iat", (now() + 3600).into()),
        with("aud", "another".into()),
        with("iss", "another".into()),
        with("typ", "refresh".into()),
        with("jti", Value::Null),
        format!("{good}{}", "A".repeat(8000)),
    ];
    assert_eq!(status(&serving, WEBHOOKS, &good).0, 200);
    for token in &forged {
        assert_eq!(status(&serving, WEBHOOKS, token).0, 401, "{token}");
    }
    serving.running.signal("TERM");
    let (_, _, messages) = serving.running.finish();
    for token in forged.iter().chain([&good]) {
        assert!(token.len() < 100 || !messages.contains(&token[token.len() - 60..]), "{messages}");
    }
    assert!(!messages.contains(SECRET), "{messages}");
}
