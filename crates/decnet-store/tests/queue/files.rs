//! Queue files: foreign, newer and damaged ones are rejected and not changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use decnet_store::queue::{Error, ExternalWriter, Options, Queue, Reader};

use super::support::*;

/// Fails to open the queue. Asserts that the file is not changed.
fn open_error(dir: &Path) -> Error {
    let before = fs::read(file(dir)).unwrap();
    let error = Queue::open(dir, Options::default()).unwrap_err();
    assert_eq!(fs::read(file(dir)).unwrap(), before, "the file is unchanged");
    error
}

#[test]
fn newer_schema_is_rejected() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let conn = sqlite(dir.path());
    conn.pragma_update(None, "user_version", 99).unwrap();
    conn.close().unwrap();
    let error = open_error(dir.path());
    assert!(matches!(error, Error::NewerSchema { found: 99, .. }));
    assert!(error.to_string().contains("written by a newer decnet"), "{error}");
    assert!(matches!(Reader::open(dir.path()), Err(Error::NewerSchema { .. })));
    assert!(matches!(ExternalWriter::open(dir.path()), Err(Error::NewerSchema { .. })));
}

#[test]
fn foreign_database_is_rejected() {
    let dir = tempfile::tempdir().unwrap();
    let conn = sqlite(dir.path());
    conn.execute_batch("CREATE TABLE theirs (x)").unwrap();
    conn.close().unwrap();
    assert!(matches!(open_error(dir.path()), Error::NotAQueue { .. }));
    assert!(matches!(Reader::open(dir.path()), Err(Error::NotAQueue { .. })));
}

#[test]
fn file_that_is_not_a_database_is_rejected() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(file(dir.path()), "this text is not a database".repeat(100)).unwrap();
    let error = open_error(dir.path());
    assert!(matches!(error, Error::NotAQueue { .. }));
    assert!(error.to_string().contains("queue.db"), "{error}");
}

#[tokio::test]
async fn corruption_is_reported_with_a_recovery_hint() {
    let (dir, queue, [sub]) = new_queue().await;
    admit(&queue, 0..1000, sub, false).await;
    queue.close().await.unwrap();
    // Damages all pages except the first, which contains the schema.
    let mut bytes = fs::read(file(dir.path())).unwrap();
    bytes[16 * 1024..].fill(0xee);
    fs::write(file(dir.path()), bytes).unwrap();
    let error = match Queue::open(dir.path(), Options::default()) {
        Err(error) => error,
        Ok(queue) => queue.backlogs().await.unwrap_err(),
    };
    assert!(matches!(error, Error::Corrupt(_)), "{error:?}");
    assert!(error.to_string().contains(".recover"), "{error}");
}

#[test]
fn missing_queue_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Reader::open(dir.path()), Err(Error::NoQueue { .. })));
    assert!(matches!(ExternalWriter::open(dir.path()), Err(Error::NoQueue { .. })));
    assert!(!file(dir.path()).exists());
    let missing = dir.path().join("missing");
    assert!(matches!(Queue::open(&missing, Options::default()), Err(Error::Io { .. })));
}

#[tokio::test]
async fn files_are_readable_only_by_their_owner() {
    let (dir, _queue, [_]) = new_queue().await;
    for entry in fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
}
