//! Sessions of DECNET's dashboard, from valid and invalid tables.

use decnet_store::catalog::{DecnetUser, Session};

use crate::support::Database;

const USERS: &str = "
    DROP TABLE users;
    CREATE TABLE users (uuid VARCHAR NOT NULL PRIMARY KEY, username VARCHAR NOT NULL, password_hash VARCHAR NOT NULL,
      role VARCHAR NOT NULL, must_change_password BOOLEAN NOT NULL, tokens_valid_from DATETIME);
    CREATE TABLE revoked_tokens (jti VARCHAR NOT NULL PRIMARY KEY, user_uuid VARCHAR NOT NULL,
      expires_at DATETIME NOT NULL, revoked_at DATETIME NOT NULL);
    INSERT INTO users VALUES ('u-1', 'admin', 'hash', 'admin', 0, NULL);
    INSERT INTO users VALUES ('u-2', 'eve', 'hash', 'viewer', 1, '2026-01-01 00:00:00.900000');
    INSERT INTO revoked_tokens VALUES ('j-old', 'u-1', '2026-01-01 00:00:00', '2026-01-01 00:00:00');";

fn user(role: &str, valid_from: Option<i64>, must_change_password: bool) -> Session {
    Session::Valid(DecnetUser { username: None, role: role.into(), valid_from, must_change_password })
}

fn named(username: &str, session: Session) -> Session {
    match session {
        Session::Valid(user) => Session::Valid(DecnetUser { username: Some(username.into()), ..user }),
        other => other,
    }
}

#[test]
fn users_and_revocations_are_read() {
    let database = Database::new();
    database.other.execute_batch(USERS).unwrap();
    let catalog = database.open();
    assert_eq!(catalog.session("u-1", "j").unwrap(), named("admin", user("admin", None, false)));
    let eve = named("eve", user("viewer", Some(1_767_225_600), true));
    assert_eq!(catalog.session("u-2", "j").unwrap(), eve);
    assert_eq!(catalog.session("u-3", "j").unwrap(), Session::UnknownUser);
    assert_eq!(catalog.session("u-1", "j-old").unwrap(), Session::Revoked);
}

#[test]
fn missing_user_table_differs_from_unknown_user() {
    let database = Database::new();
    let catalog = database.open();
    assert_eq!(catalog.session("u-1", "j").unwrap(), Session::UnknownUser);
    database.other.execute_batch("DROP TABLE users").unwrap();
    assert_eq!(catalog.session("u-1", "j").unwrap(), Session::NoUsers);
}

#[test]
fn newer_tables_and_columns_may_be_missing() {
    let database = Database::new();
    let older =
        "DROP TABLE users; CREATE TABLE users (uuid, role); INSERT INTO users VALUES ('u-1', 'admin');";
    database.other.execute_batch(older).unwrap();
    assert_eq!(database.open().session("u-1", "j").unwrap(), user("admin", None, false));
    let other = "CREATE TABLE revoked_tokens (token); INSERT INTO revoked_tokens VALUES ('j');";
    database.other.execute_batch(other).unwrap();
    assert_eq!(database.open().session("u-1", "j").unwrap(), user("admin", None, false));
}

#[test]
fn invalid_values_make_the_session_invalid() {
    let database = Database::new();
    let untyped =
        "DROP TABLE users; CREATE TABLE users (uuid, role, must_change_password, tokens_valid_from);
                   INSERT INTO users VALUES ('u-1', 'admin', 0, NULL);";
    database.other.execute_batch(untyped).unwrap();
    let catalog = database.open();
    let with = |column: &str, sql: &str| {
        database
            .other
            .execute_batch("UPDATE users SET role='admin', must_change_password=0, tokens_valid_from=NULL")
            .unwrap();
        database.other.execute_batch(&format!("UPDATE users SET {column} = {sql}")).unwrap();
        catalog.session("u-1", "j").unwrap()
    };
    for sql in ["x'61646d696e'", "7", "NULL", "CAST(x'ff' AS TEXT)"] {
        assert_eq!(with("role", sql), Session::UnknownUser, "{sql}");
    }
    for sql in ["'someday'", "x'00'", "9e999"] {
        assert_eq!(with("tokens_valid_from", sql), Session::UnknownUser, "{sql}");
    }
    assert_eq!(with("tokens_valid_from", "1767225600.9"), user("admin", Some(1_767_225_600), false));
    assert_eq!(
        with("tokens_valid_from", "'2026-01-01T00:00:00+00:00'"),
        user("admin", Some(1_767_225_600), false)
    );
    for (sql, must) in
        [("NULL", false), ("'0'", false), ("'false'", false), ("'yes'", true), ("x'00'", true), ("1", true)]
    {
        assert_eq!(with("must_change_password", sql), user("admin", None, must), "{sql}");
    }
}
