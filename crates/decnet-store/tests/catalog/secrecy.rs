//! Debug output and errors contain no secret and no token of a URL. JSON contains no secret.

use decnet_core::redact::Secret;
use decnet_store::catalog::{CircuitChange, HealthUpdate, LastFailure, Patch};

use crate::support::{Database, NOW, SECRET, new_subscription, stored};

fn assert_no_secret(text: &str) {
    assert!([SECRET, "query-token", "path-token"].iter().all(|secret| !text.contains(secret)), "{text}");
}

#[test]
fn debug_output_contains_no_secret() {
    let database = Database::new();
    database.add("u-1", "siem");
    let mut catalog = database.open();
    let stored = stored(&mut catalog, "u-1");
    let update = HealthUpdate {
        last_failure: Some(LastFailure { at: NOW, error: "reset".into() }),
        change: CircuitChange::Trip,
        ..HealthUpdate::new(stored.version.clone())
    };
    let patch =
        Patch { secret: Some(Secret::new(SECRET)), url: Some(new_subscription("a").url), ..Patch::default() };
    let row = catalog.find("siem").unwrap();
    let new = new_subscription("siem");
    assert_no_secret(&format!("{stored:?} {update:?} {patch:?} {row:?} {new:?} {catalog:?}"));
    assert_no_secret(&format!("{:?}", catalog.load().unwrap()));
    assert_no_secret(&row.redacted_url());
    assert!(!serde_json::to_string(&row).unwrap().contains(SECRET));
}

#[test]
fn errors_contain_no_secret() {
    let database = Database::new();
    database.add("u-1", "siem");
    let mut catalog = database.open();
    let taken = catalog.create(&new_subscription("siem"), NOW).unwrap_err();
    assert_no_secret(&format!("{taken} {taken:?}"));
    let update = HealthUpdate { failures: 1, ..HealthUpdate::new(stored(&mut catalog, "u-1").version) };
    database.other.execute_batch("DROP TABLE webhook_subscriptions").unwrap();
    let error = catalog.record(&[update], NOW).unwrap_err();
    assert_no_secret(&format!("{error} {error:?}"));
    let error = catalog.create(&new_subscription("other"), NOW).unwrap_err();
    assert_no_secret(&format!("{error} {error:?}"));
}

#[test]
fn row_problems_contain_no_secret_or_url() {
    for (column, value) in [
        ("url", "'https://user:query-token@[/'"),
        ("url", "'ftp://host/?token=query-token'"),
        ("topic_patterns", "'a-very-secret-secret'"),
        ("topic_patterns", "'[\"a-very-secret-secret ä\"]'"),
    ] {
        let database = Database::new();
        database.add("u-1", "siem");
        database.set("u-1", column, value);
        let mut catalog = database.open();
        let snapshot = catalog.load().unwrap();
        assert_eq!(snapshot.problems.len(), 1, "{value}");
        assert_no_secret(&format!("{snapshot:?} {:?}", catalog.rows().unwrap()));
    }
}
