//! One-time login links: stored as digests, redeemed once, valid for a short time.

use decnet_core::access::{ApiToken, SECRET_BYTES, Scope, Scopes};
use decnet_core::limits::{DASHBOARD_SESSION_TTL, LOGIN_LINK_TTL, MAX_API_TOKENS};
use decnet_store::catalog::{NewToken, TokenState};

use crate::support::{Database, NOW};

#[test]
fn link_becomes_a_token_once() {
    let database = Database::new();
    let mut catalog = database.open();
    let read = Scopes::new([Scope::Read]);
    let code = catalog.create_link(read, NOW).unwrap();
    let unused = catalog.token(code.id()).unwrap().unwrap();
    assert_eq!((unused.scopes, unused.link_to), (Scopes::default(), Some(read)), "it grants nothing itself");
    assert!(!catalog.has_active_token(NOW).unwrap());
    let guess = code.with_secret([0; SECRET_BYTES]);
    assert!(catalog.redeem_link(&guess, NOW).unwrap().is_none());
    let token = database.open().redeem_link(&code, NOW).unwrap().unwrap();
    let used = catalog.token(code.id()).unwrap().unwrap();
    assert_eq!((token.id(), used.scopes, used.link_to), (code.id(), read, None));
    assert!(used.digest.unwrap().matches(&token.digest()) && !used.digest.unwrap().matches(&code.digest()));
    assert_eq!(used.expires_at, Some(NOW.after(DASHBOARD_SESSION_TTL)));
    for code in [&code, &token] {
        assert!(catalog.redeem_link(code, NOW).unwrap().is_none(), "it works once");
    }
    for file in std::fs::read_dir(database.directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let secret = &code.expose_as_link_code()["dcl_0123456789abcdef_".len()..];
        assert!(!bytes.windows(16).any(|window| window == &secret.as_bytes()[..16]));
    }
}

#[test]
fn expired_and_revoked_links_are_worthless() {
    let database = Database::new();
    let mut catalog = database.open();
    let admin = Scopes::new([Scope::Admin]);
    let (expired, revoked) =
        (catalog.create_link(admin, NOW).unwrap(), catalog.create_link(admin, NOW).unwrap());
    assert!(catalog.redeem_link(&expired, NOW.after(LOGIN_LINK_TTL)).unwrap().is_none());
    catalog.revoke_token(revoked.id(), NOW).unwrap();
    assert!(catalog.redeem_link(&revoked, NOW).unwrap().is_none());
    let token = NewToken { name: "ci".into(), scopes: admin, expires_at: None };
    let token = catalog.create_token(&token, NOW).unwrap();
    assert!(catalog.redeem_link(&token, NOW).unwrap().is_none(), "a token is not a link");
    let missing = ApiToken::parse_link_code(&format!("dcl_{}_{}", "0".repeat(16), "A".repeat(43))).unwrap();
    assert!(catalog.redeem_link(&missing, NOW).unwrap().is_none());
}

#[test]
fn expired_links_leave_room_for_tokens() {
    let database = Database::new();
    let mut catalog = database.open();
    for _ in 0..MAX_API_TOKENS {
        catalog.create_link(Scopes::new([Scope::Read]), NOW).unwrap();
    }
    let new = |name: &str| NewToken { name: name.into(), scopes: Scopes::default(), expires_at: None };
    assert!(catalog.create_token(&new("early"), NOW).is_err());
    let later = NOW.after(LOGIN_LINK_TTL);
    catalog.create_token(&new("late"), later).unwrap();
    let tokens = catalog.tokens().unwrap();
    assert_eq!(tokens.len(), MAX_API_TOKENS);
    assert_eq!(tokens.iter().filter(|token| token.state(later) == TokenState::Active).count(), 1);
}
