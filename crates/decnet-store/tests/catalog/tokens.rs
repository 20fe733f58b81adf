//! API tokens: stored as digests, found by id, revoked permanently.

use decnet_core::access::{ApiToken, Scope, Scopes};
use decnet_core::limits::{MAX_API_TOKENS, TOKEN_USE_INTERVAL};
use decnet_core::time::UnixMicros;
use decnet_store::catalog::{Catalog, Create, Error, NewToken, TokenState};

use crate::support::{Database, NOW};

fn named(name: &str) -> NewToken {
    NewToken { name: name.into(), scopes: Scopes::new([Scope::Read, Scope::Publish]), expires_at: None }
}

fn later(seconds: u64) -> UnixMicros {
    NOW.after(std::time::Duration::from_secs(seconds))
}

#[test]
fn token_is_found_by_id_and_verified_by_digest() {
    let database = Database::new();
    let mut catalog = database.open();
    assert!(catalog.token("0000000000000000").unwrap().is_none() && catalog.tokens().unwrap().is_empty());
    let token = catalog.create_token(&named("ci"), NOW).unwrap();
    let found = database.open().token(token.id()).unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.scopes), ("ci", Scopes::new([Scope::Read, Scope::Publish])));
    assert!(found.digest.unwrap().matches(&token.digest()));
    assert!(!found.digest.unwrap().matches(&catalog.create_token(&named("b"), NOW).unwrap().digest()));
    assert_eq!((found.created_at, found.expires_at, found.last_used_at), (Some(NOW), None, None));
}

#[test]
fn catalog_files_do_not_contain_a_token() {
    let database = Database::new();
    let mut catalog = database.open();
    let text = catalog.create_token(&named("ci"), NOW).unwrap().expose();
    let secret = &text["dcn_0123456789abcdef_".len()..];
    assert!(ApiToken::parse(&text).is_some() && !format!("{:?}", catalog.tokens().unwrap()).contains(secret));
    assert!(!serde_json::to_string(&catalog.tokens().unwrap()).unwrap().contains("digest"));
    for file in std::fs::read_dir(database.directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for part in [text.as_bytes(), &secret.as_bytes()[..16]] {
            assert!(!bytes.windows(part.len()).any(|window| window == part));
        }
    }
}

#[test]
fn name_is_unique_until_its_token_is_revoked() {
    let database = Database::new();
    let mut catalog = database.open();
    let first = catalog.create_token(&named("ci"), NOW).unwrap();
    assert!(matches!(catalog.create_token(&named("ci"), NOW), Err(Error::TokenNameTaken(_))));
    assert!(matches!(catalog.create_token(&named("c i"), NOW), Err(Error::TokenName(_))));
    assert_eq!(catalog.revoke_token("ci", later(1)).unwrap().id, first.id());
    assert!(matches!(catalog.revoke_token("ci", NOW), Err(Error::TokenRevoked(_))));
    assert!(matches!(catalog.revoke_token("other", NOW), Err(Error::NoToken(_))));
    let second = catalog.create_token(&named("ci"), later(2)).unwrap();
    // The name identifies the active token.
    assert_eq!(catalog.revoke_token("ci", later(3)).unwrap().id, second.id());
    let third = catalog.create_token(&named("ci"), later(4)).unwrap();
    assert_eq!(catalog.revoke_token(third.id(), later(5)).unwrap().revoked_at, Some(later(5)));
}

#[test]
fn token_is_active_until_expired_or_revoked() {
    let database = Database::new();
    let mut catalog = database.open();
    assert!(!catalog.has_active_token(NOW).unwrap());
    let new = NewToken { expires_at: Some(later(60)), ..named("short") };
    let id = catalog.create_token(&new, NOW).unwrap().id().to_owned();
    let state = |catalog: &Catalog, at| catalog.token(&id).unwrap().unwrap().state(at);
    assert_eq!(state(&catalog, later(59)), TokenState::Active);
    assert_eq!(state(&catalog, later(60)), TokenState::Expired);
    assert!(catalog.has_active_token(NOW).unwrap() && !catalog.has_active_token(later(60)).unwrap());
    catalog.revoke_token("short", later(1)).unwrap();
    assert_eq!(state(&catalog, later(2)), TokenState::Revoked);
    assert!(!catalog.has_active_token(later(2)).unwrap());
}

#[test]
fn use_is_recorded_at_most_once_per_interval() {
    let database = Database::new();
    let mut catalog = database.open();
    let id = catalog.create_token(&named("ci"), NOW).unwrap().id().to_owned();
    let interval = TOKEN_USE_INTERVAL.as_secs();
    for (at, recorded) in [(0, 0), (1, 0), (interval - 1, 0), (interval, interval)] {
        catalog.record_token_use(&id, later(at)).unwrap();
        assert_eq!(catalog.token(&id).unwrap().unwrap().last_used_at, Some(later(recorded)), "after {at} s");
    }
}

#[test]
fn token_revoked_first_is_deleted_at_the_limit() {
    let database = Database::new();
    let mut catalog = database.open();
    catalog.create_token(&named("first"), NOW).unwrap();
    let fill = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})
         INSERT INTO decnet_api_tokens (id, name, digest, scopes, created_at) SELECT i, 'n' || i, x'00', 'read', 0 FROM n",
        MAX_API_TOKENS - 1
    );
    database.other.execute_batch(&fill).unwrap();
    assert!(matches!(catalog.create_token(&named("more"), NOW), Err(Error::TooManyTokens)));
    catalog.revoke_token("first", NOW).unwrap();
    catalog.create_token(&named("more"), NOW).unwrap();
    let tokens = catalog.tokens().unwrap();
    assert_eq!(tokens.len(), MAX_API_TOKENS);
    assert!(tokens.iter().any(|token| token.name == "more") && !tokens.iter().any(|it| it.name == "first"));
}

#[test]
fn invalid_row_grants_nothing_and_does_not_hide_others() {
    let database = Database::new();
    let mut catalog = database.open();
    let good = catalog.create_token(&named("good"), NOW).unwrap();
    let invalid =
        "INSERT INTO decnet_api_tokens (id, name, digest, scopes, created_at, expires_at, revoked_at)
                   VALUES (x'ff', 7, 'no digest', 'read root', 'then', 'never', NULL)";
    database.other.execute_batch(invalid).unwrap();
    let tokens = catalog.tokens().unwrap();
    let row = tokens.iter().find(|token| token.id != good.id()).unwrap();
    assert!(row.digest.is_none() && row.scopes == Scopes::default());
    assert_eq!(row.state(NOW), TokenState::Expired);
    assert!(catalog.token(good.id()).unwrap().is_some());
}

#[test]
fn tokens_of_a_newer_program_are_not_used() {
    let database = Database::new();
    let mut catalog = database.open();
    let token = catalog.create_token(&named("ci"), NOW).unwrap();
    database.other.execute_batch("UPDATE decnet_api_tokens_schema SET version = 99").unwrap();
    assert!(matches!(catalog.token(token.id()), Err(Error::NewerSchema { found: 99, .. })));
    assert!(matches!(catalog.create_token(&named("x"), NOW), Err(Error::NewerSchema { found: 99, .. })));
    // Subscriptions are not affected.
    assert!(catalog.rows().unwrap().is_empty() && Catalog::open(&database.path, Create::Never).is_ok());
}

#[test]
fn tokens_do_not_migrate_the_extension_table() {
    let database = Database::new();
    let older = "CREATE TABLE decnet_webhook_settings (uuid TEXT NOT NULL PRIMARY KEY, gone_at INTEGER, settings TEXT NOT NULL);
                 CREATE TABLE decnet_webhook_schema (version INTEGER NOT NULL);
                 INSERT INTO decnet_webhook_schema VALUES (1)";
    database.other.execute_batch(older).unwrap();
    let mut catalog = database.open();
    let token = catalog.create_token(&named("ci"), NOW).unwrap();
    catalog.record_token_use(token.id(), NOW).unwrap();
    catalog.revoke_token("ci", NOW).unwrap();
    let version = "SELECT version FROM decnet_webhook_schema";
    let version: i64 = database.other.query_row(version, [], |row| row.get(0)).unwrap();
    assert_eq!(version, 1, "a worker of that version must still be able to read it");
}

#[test]
fn id_is_preferred_to_a_name() {
    let database = Database::new();
    let mut catalog = database.open();
    let first = catalog.create_token(&named("first"), NOW).unwrap();
    let second = catalog.create_token(&named(first.id()), NOW).unwrap();
    assert_eq!(catalog.revoke_token(first.id(), later(1)).unwrap().id, first.id());
    let again = catalog.revoke_token(first.id(), later(2)).unwrap_err();
    assert!(matches!(again, Error::TokenRevoked(_)), "{again}");
    assert_eq!(catalog.revoke_token(second.id(), later(3)).unwrap().id, second.id());
}
