//! Opening, creating and rejecting files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Barrier;
use std::thread;

use decnet_store::catalog::{Catalog, CircuitChange, Create, Error, HealthUpdate, RecordOutcome};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::support::{Database, NOW, connect, new_subscription, stored};

#[test]
fn new_file_is_private_and_in_wal_mode() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("decnet.db");
    let mut catalog = Catalog::open(&path, Create::IfMissing).unwrap();
    catalog.create(&new_subscription("siem"), NOW).unwrap();
    for entry in fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
    let mode: String = connect(&path).query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    assert_eq!(Catalog::open(&path, Create::Never).unwrap().rows().unwrap().len(), 1);
}

#[test]
fn existing_database_is_not_altered() {
    let database = Database::new();
    database.other.pragma_update(None, "journal_mode", "DELETE").unwrap();
    database.other.pragma_update(None, "user_version", 7).unwrap();
    database.add("u-1", "siem");
    let schema = |database: &Database| -> String {
        let all = "SELECT group_concat(sql, ';') FROM sqlite_master WHERE tbl_name = 'webhook_subscriptions'";
        database.other.query_row(all, [], |row| row.get(0)).unwrap()
    };
    let before = schema(&database);
    let mut catalog = Catalog::open(&database.path, Create::IfMissing).unwrap();
    let gone = HealthUpdate {
        change: CircuitChange::Gone,
        ..HealthUpdate::new(stored(&mut catalog, "u-1").version)
    };
    assert_eq!(catalog.record(&[gone], NOW).unwrap(), [RecordOutcome::Applied]);
    assert_eq!(schema(&database), before);
    let pragma =
        |name: &str| database.other.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).unwrap();
    assert_eq!(
        (pragma("journal_mode"), pragma("user_version")),
        (rusqlite::types::Value::Text("delete".into()), 7.into())
    );
}

#[test]
fn extension_table_is_created_when_first_needed() {
    let database = Database::new();
    database.add("u-1", "siem");
    let table_count = || -> i64 {
        let count = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name LIKE 'decnet_webhook%'";
        database.other.query_row(count, [], |row| row.get(0)).unwrap()
    };
    let mut catalog = database.open();
    let version = stored(&mut catalog, "u-1").version;
    let trip = HealthUpdate { failures: 1, ..HealthUpdate::new(version.clone()) };
    catalog.record(&[trip], NOW).unwrap();
    assert_eq!(table_count(), 0);
    catalog
        .record(&[HealthUpdate { change: CircuitChange::Gone, ..HealthUpdate::new(version) }], NOW)
        .unwrap();
    assert_eq!(table_count(), 2);
    assert!(stored(&mut catalog, "u-1").gone);
    catalog.delete("u-1", NOW).unwrap();
    let rows: i64 = database
        .other
        .query_row("SELECT COUNT(*) FROM decnet_webhook_settings", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 0);
}

#[test]
fn extension_table_of_a_newer_program_is_rejected() {
    let database = Database::new();
    let newer = "CREATE TABLE decnet_webhook_schema (version INTEGER NOT NULL);
                 INSERT INTO decnet_webhook_schema VALUES (99)";
    let mut before = database.open();
    database.other.execute_batch(newer).unwrap();
    let error = Catalog::open(&database.path, Create::Never).unwrap_err();
    assert!(matches!(error, Error::NewerSchema { found: 99, .. }));
    assert!(error.to_string().contains("use the newer decnet"), "{error}");
    database.add("u-1", "siem");
    let rows = database.all_rows();
    assert!(
        matches!(before.load(), Err(Error::NewerSchema { .. })),
        "a catalog that was open before must reject it too"
    );
    assert!(matches!(before.create(&new_subscription("other"), NOW), Err(Error::NewerSchema { .. })));
    assert!(matches!(before.delete("u-1", NOW), Err(Error::NewerSchema { .. })));
    assert_eq!(database.all_rows(), rows);
}

#[test]
fn dropped_extension_table_is_created_again() {
    let database = Database::new();
    database.add("u-1", "siem");
    for dropped in ["", "DROP TABLE decnet_webhook_settings", "DROP TABLE decnet_webhook_schema"] {
        database.other.execute_batch(dropped).unwrap();
        let mut catalog = database.open();
        let gone = HealthUpdate {
            change: CircuitChange::Gone,
            ..HealthUpdate::new(stored(&mut catalog, "u-1").version)
        };
        catalog.record(&[gone], NOW).unwrap();
        assert!(stored(&mut catalog, "u-1").gone, "{dropped}");
    }
}

#[test]
fn invalid_files_are_rejected_with_advice() {
    let directory = TempDir::new().unwrap();
    let file = |name: &str| directory.path().join(name);
    fs::write(file("text"), "not a database, but long enough to look at\n".repeat(100)).unwrap();
    fs::write(file("empty"), "").unwrap();
    fs::create_dir(file("directory")).unwrap();
    Connection::open(file("foreign")).unwrap().execute_batch("CREATE TABLE a (b)").unwrap();
    Connection::open(file("older"))
        .unwrap()
        .execute_batch("CREATE TABLE webhook_subscriptions (uuid, name)")
        .unwrap();
    let error = |name: &str, create| Catalog::open(&file(name), create).unwrap_err();
    assert!(matches!(error("absent", Create::Never), Error::Missing { .. }));
    assert!(!file("absent").exists());
    assert!(matches!(error("empty", Create::Never), Error::NoTable { .. }));
    for create in [Create::Never, Create::IfMissing] {
        assert!(matches!(error("text", create), Error::NotADatabase { .. }));
        assert!(matches!(error("directory", create), Error::NotADatabase { .. }));
        assert!(matches!(error("foreign", create), Error::NoTable { .. }));
        assert!(matches!(error("older", create), Error::NoColumn { column: "url", .. }));
    }
    assert!(matches!(error("no/such/directory", Create::IfMissing), Error::File { .. }));
    for (name, create) in [("absent", Create::Never), ("text", Create::Never), ("foreign", Create::IfMissing)]
    {
        let text = error(name, create).to_string();
        assert!(text.contains(name) && text.contains("DECNET_DB_URL"), "{text}");
    }
}

#[test]
fn table_is_created_in_an_empty_file() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("decnet.db");
    fs::write(&path, "").unwrap();
    assert!(Catalog::open(&path, Create::IfMissing).unwrap().rows().unwrap().is_empty());
}

#[test]
fn processes_create_and_fill_a_file_concurrently() {
    let directory = TempDir::new().unwrap();
    let path = &directory.path().join("decnet.db");
    thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || {
                let mut catalog = Catalog::open(path, Create::IfMissing).unwrap();
                catalog.create(&new_subscription(&format!("siem-{number}")), NOW).unwrap();
            });
        }
    });
    assert_eq!(Catalog::open(path, Create::Never).unwrap().rows().unwrap().len(), 4);
}

#[test]
fn read_only_file_can_be_read() {
    let database = Database::new();
    database.other.pragma_update(None, "journal_mode", "DELETE").unwrap();
    database.add("u-1", "siem");
    fs::set_permissions(&database.path, fs::Permissions::from_mode(0o400)).unwrap();
    if fs::OpenOptions::new().write(true).open(&database.path).is_ok() {
        return; // Root may write anyway.
    }
    let mut catalog = database.open();
    let update = HealthUpdate::new(stored(&mut catalog, "u-1").version);
    let error = catalog.record(&[update], NOW).unwrap_err();
    assert!(
        matches!(error, Error::Permission { .. }) && error.to_string().contains("who owns it"),
        "{error}"
    );
}

#[test]
fn damaged_file_is_reported() {
    let database = Database::new();
    for number in 0..200 {
        database.add(&format!("u-{number}"), &format!("siem-{number}"));
    }
    database.other.pragma_update(None, "journal_mode", "DELETE").unwrap();
    let Database { path, other, directory: _directory } = database;
    other.close().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[8192..end].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let error = Catalog::open(&path, Create::Never).and_then(|mut catalog| catalog.load()).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }) && error.to_string().contains("backup"), "{error}");
}

#[test]
fn file_is_created_concurrently() {
    for _ in 0..20 {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("decnet.db");
        let start = Barrier::new(8);
        let open = || {
            start.wait();
            Catalog::open(&path, Create::IfMissing).map(drop)
        };
        let opened = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Result<Vec<()>, _>>()
        });
        opened.unwrap();
    }
}
