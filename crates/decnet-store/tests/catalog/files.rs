//! Which files are opened, made and refused, and what is said about it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Barrier;
use std::thread;

use decnet_store::catalog::{Catalog, Change, Create, Error, HealthUpdate, Recorded};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::support::{Database, NOW, connect, new, stored};

#[test]
fn a_new_file_is_its_owners_alone_and_in_wal() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("decnet.db");
    let mut catalog = Catalog::open(&path, Create::IfMissing).unwrap();
    catalog.create(&new("siem"), NOW).unwrap();
    for entry in fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
    let mode: String = connect(&path).query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    assert_eq!(Catalog::open(&path, Create::Never).unwrap().rows().unwrap().len(), 1);
}

#[test]
fn an_existing_database_is_left_as_it_is() {
    let database = Database::decnets();
    database.other.pragma_update(None, "journal_mode", "DELETE").unwrap();
    database.other.pragma_update(None, "user_version", 7).unwrap();
    database.add("u-1", "siem");
    let schema = |database: &Database| -> String {
        let all = "SELECT group_concat(sql, ';') FROM sqlite_master WHERE tbl_name = 'webhook_subscriptions'";
        database.other.query_row(all, [], |row| row.get(0)).unwrap()
    };
    let before = schema(&database);
    let mut catalog = Catalog::open(&database.path, Create::IfMissing).unwrap();
    let gone =
        HealthUpdate { change: Change::Gone, ..HealthUpdate::new(stored(&mut catalog, "u-1").version) };
    assert_eq!(catalog.record(&[gone], NOW).unwrap(), [Recorded::Applied]);
    assert_eq!(schema(&database), before);
    let pragma =
        |name: &str| database.other.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).unwrap();
    assert_eq!(
        (pragma("journal_mode"), pragma("user_version")),
        (rusqlite::types::Value::Text("delete".into()), 7.into())
    );
}

#[test]
fn our_table_is_made_only_when_it_is_needed() {
    let database = Database::decnets();
    database.add("u-1", "siem");
    let ours = || -> i64 {
        let count = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name LIKE 'decnet_webhook%'";
        database.other.query_row(count, [], |row| row.get(0)).unwrap()
    };
    let mut catalog = database.open();
    let version = stored(&mut catalog, "u-1").version;
    let trip = HealthUpdate { failures: 1, ..HealthUpdate::new(version.clone()) };
    catalog.record(&[trip], NOW).unwrap();
    assert_eq!(ours(), 0);
    catalog.record(&[HealthUpdate { change: Change::Gone, ..HealthUpdate::new(version) }], NOW).unwrap();
    assert_eq!(ours(), 2);
    assert!(stored(&mut catalog, "u-1").gone);
    catalog.delete("u-1").unwrap();
    let kept: i64 = database
        .other
        .query_row("SELECT COUNT(*) FROM decnet_webhook_settings", [], |row| row.get(0))
        .unwrap();
    assert_eq!(kept, 0);
}

#[test]
fn settings_of_a_newer_program_are_refused() {
    let database = Database::decnets();
    let newer = "CREATE TABLE decnet_webhook_schema (version INTEGER NOT NULL);
                 INSERT INTO decnet_webhook_schema VALUES (99)";
    let mut before = database.open();
    database.other.execute_batch(newer).unwrap();
    let error = Catalog::open(&database.path, Create::Never).unwrap_err();
    assert!(matches!(error, Error::Newer { found: 99, .. }));
    assert!(error.to_string().contains("use the newer decnet"), "{error}");
    database.add("u-1", "siem");
    let rows = database.everything();
    assert!(matches!(before.load(), Err(Error::Newer { .. })), "also if it comes later");
    assert!(matches!(before.create(&new("other"), NOW), Err(Error::Newer { .. })));
    assert!(matches!(before.delete("u-1"), Err(Error::Newer { .. })));
    assert_eq!(database.everything(), rows);
}

#[test]
fn our_table_is_made_again_if_somebody_dropped_it() {
    let database = Database::decnets();
    database.add("u-1", "siem");
    for dropped in ["", "DROP TABLE decnet_webhook_settings", "DROP TABLE decnet_webhook_schema"] {
        database.other.execute_batch(dropped).unwrap();
        let mut catalog = database.open();
        let gone =
            HealthUpdate { change: Change::Gone, ..HealthUpdate::new(stored(&mut catalog, "u-1").version) };
        catalog.record(&[gone], NOW).unwrap();
        assert!(stored(&mut catalog, "u-1").gone, "{dropped}");
    }
}

#[test]
fn what_is_no_catalog_is_refused_with_advice() {
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
    let said = |name: &str, create| Catalog::open(&file(name), create).unwrap_err();
    assert!(matches!(said("absent", Create::Never), Error::Missing { .. }));
    assert!(!file("absent").exists());
    assert!(matches!(said("empty", Create::Never), Error::NoTable { .. }));
    for create in [Create::Never, Create::IfMissing] {
        assert!(matches!(said("text", create), Error::NotADatabase { .. }));
        assert!(matches!(said("directory", create), Error::NotADatabase { .. }));
        assert!(matches!(said("foreign", create), Error::NoTable { .. }));
        assert!(matches!(said("older", create), Error::NoColumn { column: "url", .. }));
    }
    assert!(matches!(said("no/such/directory", Create::IfMissing), Error::File { .. }));
    for (name, create) in [("absent", Create::Never), ("text", Create::Never), ("foreign", Create::IfMissing)]
    {
        let text = said(name, create).to_string();
        assert!(text.contains(name) && text.contains("DECNET_DB_URL"), "{text}");
    }
}

#[test]
fn an_empty_file_is_filled() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("decnet.db");
    fs::write(&path, "").unwrap();
    assert!(Catalog::open(&path, Create::IfMissing).unwrap().rows().unwrap().is_empty());
}

#[test]
fn one_file_is_made_by_many_at_once() {
    let directory = TempDir::new().unwrap();
    let path = &directory.path().join("decnet.db");
    thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || {
                let mut catalog = Catalog::open(path, Create::IfMissing).unwrap();
                catalog.create(&new(&format!("siem-{number}")), NOW).unwrap();
            });
        }
    });
    assert_eq!(Catalog::open(path, Create::Never).unwrap().rows().unwrap().len(), 4);
}

#[test]
fn a_file_that_may_only_be_read_can_be_read() {
    let database = Database::decnets();
    database.other.pragma_update(None, "journal_mode", "DELETE").unwrap();
    database.add("u-1", "siem");
    fs::set_permissions(&database.path, fs::Permissions::from_mode(0o400)).unwrap();
    if fs::OpenOptions::new().write(true).open(&database.path).is_ok() {
        return; // The superuser may write all the same.
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
fn a_damaged_file_is_named() {
    let database = Database::decnets();
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
fn several_make_it_at_once() {
    for _ in 0..20 {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("decnet.db");
        let together = Barrier::new(8);
        let open = || {
            together.wait();
            Catalog::open(&path, Create::IfMissing).map(drop)
        };
        let opened = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Result<Vec<()>, _>>()
        });
        opened.unwrap();
    }
}
