//! Files that are no queue, are too new, or damaged, are refused clearly and left as they are.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use decnet_store::queue::{Error, Operator, Options, Queue, Reader};
use rusqlite::Connection;

use super::support::*;

fn refused(dir: &Path) -> Error {
    let before = fs::read(file(dir)).unwrap();
    let error = Queue::open(dir, Options::default()).unwrap_err();
    assert_eq!(fs::read(file(dir)).unwrap(), before, "a refused file is not touched");
    error
}

#[test]
fn a_newer_schema_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let conn = Connection::open(file(dir.path())).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    conn.close().unwrap();
    let error = refused(dir.path());
    assert!(matches!(error, Error::NewerSchema { found: 99, .. }));
    assert!(error.to_string().contains("written by a newer decnet"), "{error}");
    assert!(matches!(Reader::open(dir.path()), Err(Error::NewerSchema { .. })));
    assert!(matches!(Operator::open(dir.path()), Err(Error::NewerSchema { .. })));
}

#[test]
fn another_programs_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(file(dir.path())).unwrap();
    conn.execute_batch("CREATE TABLE theirs (x)").unwrap();
    conn.close().unwrap();
    assert!(matches!(refused(dir.path()), Error::NotAQueue { .. }));
    assert!(matches!(Reader::open(dir.path()), Err(Error::NotAQueue { .. })));
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(file(dir.path()), "not a database, but a text that goes on for a while".repeat(100)).unwrap();
    let error = refused(dir.path());
    assert!(matches!(error, Error::NotAQueue { .. }));
    assert!(error.to_string().contains("queue.db"), "{error}");
}

#[tokio::test]
async fn damage_is_told_to_whoever_meets_it() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    admit(&queue, 0..1000, sub, false).await;
    queue.close().await.unwrap();
    // All pages but the first, which holds the schema.
    let mut bytes = fs::read(file(dir.path())).unwrap();
    bytes[16 * 1024..].fill(0xee);
    fs::write(file(dir.path()), bytes).unwrap();
    let error = match Queue::open(dir.path(), Options::default()) {
        Err(error) => error,
        Ok(queue) => queue.waiting().await.unwrap_err(),
    };
    assert!(matches!(error, Error::Corrupt(_)), "{error:?}");
    assert!(error.to_string().contains(".recover"), "{error}");
}

#[test]
fn no_queue_yet_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Reader::open(dir.path()), Err(Error::NoQueue { .. })));
    assert!(matches!(Operator::open(dir.path()), Err(Error::NoQueue { .. })));
    assert!(!file(dir.path()).exists());
    let missing = dir.path().join("missing");
    assert!(matches!(Queue::open(&missing, Options::default()), Err(Error::Io { .. })));
}

#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    subscriptions(&queue, 1).await;
    for entry in fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
}
