//! No secret and no token of a URL reaches what ends in logs; no secret reaches JSON.

use decnet_core::redact::Secret;
use decnet_store::catalog::{Change, HealthUpdate, LastFailure, Patch};

use crate::support::{Database, NOW, SECRET, new, stored};

fn assert_hidden(shown: &str) {
    assert!([SECRET, "query-token", "path-token"].iter().all(|secret| !shown.contains(secret)), "{shown}");
}

#[test]
fn nothing_debugged_shows_a_secret() {
    let database = Database::decnets();
    database.add("u-1", "siem");
    let mut catalog = database.open();
    let stored = stored(&mut catalog, "u-1");
    let update = HealthUpdate {
        last_failure: Some(LastFailure { at: NOW, error: "reset".into() }),
        change: Change::Trip,
        ..HealthUpdate::new(stored.version.clone())
    };
    let patch = Patch { secret: Some(Secret::new(SECRET)), url: Some(new("a").url), ..Patch::default() };
    let row = catalog.find("siem").unwrap();
    let new = new("siem");
    assert_hidden(&format!("{stored:?} {update:?} {patch:?} {row:?} {new:?} {catalog:?}"));
    assert_hidden(&format!("{:?}", catalog.load().unwrap()));
    assert_hidden(&row.shown_url());
    assert!(!serde_json::to_string(&row).unwrap().contains(SECRET));
}

#[test]
fn no_error_shows_a_secret() {
    let database = Database::decnets();
    database.add("u-1", "siem");
    let mut catalog = database.open();
    let taken = catalog.create(&new("siem"), NOW).unwrap_err();
    assert_hidden(&format!("{taken} {taken:?}"));
    let update = HealthUpdate { failures: 1, ..HealthUpdate::new(stored(&mut catalog, "u-1").version) };
    database.other.execute_batch("DROP TABLE webhook_subscriptions").unwrap();
    let gone = catalog.record(&[update], NOW).unwrap_err();
    assert_hidden(&format!("{gone} {gone:?}"));
    let gone = catalog.create(&new("other"), NOW).unwrap_err();
    assert_hidden(&format!("{gone} {gone:?}"));
}

#[test]
fn no_problem_of_a_row_shows_its_secret_or_url() {
    for (column, value) in [
        ("url", "'https://user:query-token@[/'"),
        ("url", "'ftp://host/?token=query-token'"),
        ("topic_patterns", "'a-very-secret-secret'"),
        ("topic_patterns", "'[\"a-very-secret-secret ä\"]'"),
    ] {
        let database = Database::decnets();
        database.add("u-1", "siem");
        database.set("u-1", column, value);
        let mut catalog = database.open();
        let snapshot = catalog.load().unwrap();
        assert_eq!(snapshot.problems.len(), 1, "{value}");
        assert_hidden(&format!("{snapshot:?} {:?}", catalog.rows().unwrap()));
    }
}
