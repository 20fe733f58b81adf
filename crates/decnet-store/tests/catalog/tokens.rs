//! API tokens: kept as digests, found by id, taken back for good.

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
fn a_token_is_found_by_its_id_and_known_by_its_digest_alone() {
    let database = Database::decnets();
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
fn no_file_of_the_catalog_holds_a_tokens_secret() {
    let database = Database::decnets();
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
fn a_name_is_given_once_and_free_again_when_its_token_is_revoked() {
    let database = Database::decnets();
    let mut catalog = database.open();
    let first = catalog.create_token(&named("ci"), NOW).unwrap();
    assert!(matches!(catalog.create_token(&named("ci"), NOW), Err(Error::TokenNameTaken(_))));
    assert!(matches!(catalog.create_token(&named("c i"), NOW), Err(Error::TokenName(_))));
    assert_eq!(catalog.revoke_token("ci", later(1)).unwrap().id, first.id());
    assert!(matches!(catalog.revoke_token("ci", NOW), Err(Error::TokenRevoked(_))));
    assert!(matches!(catalog.revoke_token("other", NOW), Err(Error::NoToken(_))));
    let second = catalog.create_token(&named("ci"), later(2)).unwrap();
    // The name now means the one in use.
    assert_eq!(catalog.revoke_token("ci", later(3)).unwrap().id, second.id());
    let third = catalog.create_token(&named("ci"), later(4)).unwrap();
    assert_eq!(catalog.revoke_token(third.id(), later(5)).unwrap().revoked_at, Some(later(5)));
}

#[test]
fn a_token_ends_when_it_expires_or_is_revoked() {
    let database = Database::decnets();
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
fn use_is_noted_at_most_once_an_interval() {
    let database = Database::decnets();
    let mut catalog = database.open();
    let id = catalog.create_token(&named("ci"), NOW).unwrap().id().to_owned();
    let interval = TOKEN_USE_INTERVAL.as_secs();
    for (at, noted) in [(0, 0), (1, 0), (interval - 1, 0), (interval, interval)] {
        catalog.note_token_use(&id, later(at)).unwrap();
        assert_eq!(catalog.token(&id).unwrap().unwrap().last_used_at, Some(later(noted)), "after {at} s");
    }
}

#[test]
fn when_there_are_too_many_the_one_revoked_first_makes_room() {
    let database = Database::decnets();
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
fn a_row_that_makes_no_sense_grants_nothing_and_hides_no_other() {
    let database = Database::decnets();
    let mut catalog = database.open();
    let good = catalog.create_token(&named("good"), NOW).unwrap();
    let bad = "INSERT INTO decnet_api_tokens (id, name, digest, scopes, created_at, expires_at, revoked_at)
               VALUES (x'ff', 7, 'no digest', 'read root', 'then', 'never', NULL)";
    database.other.execute_batch(bad).unwrap();
    let tokens = catalog.tokens().unwrap();
    let row = tokens.iter().find(|token| token.id != good.id()).unwrap();
    assert!(row.digest.is_none() && row.scopes == Scopes::default());
    assert_eq!(row.state(NOW), TokenState::Expired);
    assert!(catalog.token(good.id()).unwrap().is_some());
}

#[test]
fn tokens_of_a_newer_program_are_left_alone() {
    let database = Database::decnets();
    let mut catalog = database.open();
    let token = catalog.create_token(&named("ci"), NOW).unwrap();
    database.other.execute_batch("UPDATE decnet_api_tokens_schema SET version = 99").unwrap();
    assert!(matches!(catalog.token(token.id()), Err(Error::NewerTokens { found: 99, .. })));
    assert!(matches!(catalog.create_token(&named("x"), NOW), Err(Error::NewerTokens { found: 99, .. })));
    // The subscriptions are none of its business.
    assert!(catalog.rows().unwrap().is_empty() && Catalog::open(&database.path, Create::Never).is_ok());
}

#[test]
fn tokens_leave_the_settings_of_an_older_program_as_they_are() {
    let database = Database::decnets();
    let older = "CREATE TABLE decnet_webhook_settings (uuid TEXT NOT NULL PRIMARY KEY, gone_at INTEGER, settings TEXT NOT NULL);
                 CREATE TABLE decnet_webhook_schema (version INTEGER NOT NULL);
                 INSERT INTO decnet_webhook_schema VALUES (1)";
    database.other.execute_batch(older).unwrap();
    let mut catalog = database.open();
    let token = catalog.create_token(&named("ci"), NOW).unwrap();
    catalog.note_token_use(token.id(), NOW).unwrap();
    catalog.revoke_token("ci", NOW).unwrap();
    let version = "SELECT version FROM decnet_webhook_schema";
    let version: i64 = database.other.query_row(version, [], |row| row.get(0)).unwrap();
    assert_eq!(version, 1, "a worker of that version goes on reading them");
}

#[test]
fn an_id_wins_over_a_name_that_looks_like_it() {
    let database = Database::decnets();
    let mut catalog = database.open();
    let first = catalog.create_token(&named("first"), NOW).unwrap();
    let second = catalog.create_token(&named(first.id()), NOW).unwrap();
    assert_eq!(catalog.revoke_token(first.id(), later(1)).unwrap().id, first.id());
    let again = catalog.revoke_token(first.id(), later(2)).unwrap_err();
    assert!(matches!(again, Error::TokenRevoked(_)), "{again}");
    assert_eq!(catalog.revoke_token(second.id(), later(3)).unwrap().id, second.id());
}
