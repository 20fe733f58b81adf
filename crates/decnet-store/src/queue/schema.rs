//! The schema of the queue, and the migrations from every earlier version.

use std::path::Path;

use rusqlite::Connection;

use super::error::Error;

/// `dcnq`: distinguishes a queue from other SQLite files.
const APPLICATION_ID: i64 = 0x6463_6e71;

/// The migrations: step `n` migrates schema `n` to `n + 1`. Released steps never change.
const STEPS: &[&str] = &[
    // Event ids are random: an index on them would dirty one page per event. `RecentIds` keeps the newest ones in memory
    // instead. HELD (0) is not indexed either, only LINGERING (-1): see `HeldWatermark`.
    //
    // The successful attempt is stored in the delivery's own row, the others in `attempts`. Most deliveries succeed at the
    // first attempt and need only one row.
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
     INSERT INTO meta VALUES ('generation', 0), ('swept', 0);
     CREATE TABLE subscriptions (key INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT NOT NULL);
     CREATE TABLE events (
         seq INTEGER PRIMARY KEY,
         id TEXT NOT NULL,
         topic TEXT NOT NULL,
         admitted_at INTEGER NOT NULL,
         body BLOB NOT NULL);
     CREATE TABLE deliveries (
         id INTEGER PRIMARY KEY,
         sub INTEGER NOT NULL,
         state INTEGER NOT NULL,
         attempts INTEGER NOT NULL,
         due_at INTEGER,
         settled_at INTEGER,
         reason INTEGER,
         duration_us INTEGER,
         status INTEGER,
         reply BLOB);
     CREATE INDEX lingering ON deliveries (state) WHERE state = -1;
     CREATE INDEX queued ON deliveries (sub, due_at) WHERE state = 1;
     CREATE INDEX retrying ON deliveries (sub, due_at) WHERE state = 2;
     CREATE INDEX dead ON deliveries (state) WHERE state = 4;
     CREATE TABLE attempts (
         delivery INTEGER NOT NULL,
         number INTEGER NOT NULL,
         started_at INTEGER NOT NULL,
         duration_us INTEGER NOT NULL,
         status INTEGER,
         reason INTEGER,
         detail TEXT,
         reply BLOB,
         PRIMARY KEY (delivery, number)) WITHOUT ROWID;",
    // The durations of an attempt's phases; those of the successful attempt are in the delivery's row. NULL for a phase that
    // was not needed or not finished. An event with an empty body was erased.
    //
    // `submitted` holds events that other processes have submitted and the worker has not yet admitted. Their ids and keys are
    // stored as a truncated SHA-256, so that random ids of any length take little space; `seq` is the order of eviction.
    "ALTER TABLE deliveries ADD COLUMN resolve_us INTEGER;
     ALTER TABLE deliveries ADD COLUMN connect_us INTEGER;
     ALTER TABLE deliveries ADD COLUMN tls_us INTEGER;
     ALTER TABLE deliveries ADD COLUMN first_byte_us INTEGER;
     ALTER TABLE attempts ADD COLUMN resolve_us INTEGER;
     ALTER TABLE attempts ADD COLUMN connect_us INTEGER;
     ALTER TABLE attempts ADD COLUMN tls_us INTEGER;
     ALTER TABLE attempts ADD COLUMN first_byte_us INTEGER;
     CREATE TABLE submitted (
         seq INTEGER PRIMARY KEY,
         id TEXT NOT NULL,
         topic TEXT NOT NULL,
         submitted_at INTEGER NOT NULL,
         body BLOB NOT NULL);
     CREATE TABLE submitted_ids (seq INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, at INTEGER NOT NULL);
     CREATE TABLE submitted_keys (
         seq INTEGER PRIMARY KEY,
         hash BLOB NOT NULL UNIQUE,
         at INTEGER NOT NULL,
         fingerprint BLOB NOT NULL,
         ids TEXT NOT NULL);
     INSERT INTO meta VALUES ('submitted_bytes', 0), ('erasures', 0);",
    // An id is stored with a truncated SHA-256 of the content submitted with it; NULL for rows from before this step. A key is
    // stored with the seed of the ids generated for its events; before this step, with all ids, one per line.
    "ALTER TABLE submitted_ids ADD COLUMN content BLOB;
     ALTER TABLE submitted_keys ADD COLUMN seed BLOB;",
    // `again` is the id of a delivery's redelivery. It is stored in the old row, because retention may remove the redelivery
    // first. Before this step, a later delivery to the same subscription implied it.
    //
    // The content hash of an id is now that of the canonical event; before this step it was that of the original payload, and
    // is therefore cleared.
    "ALTER TABLE deliveries ADD COLUMN again INTEGER;
     UPDATE deliveries SET again = later.again
         FROM (SELECT id, lead(id) OVER (PARTITION BY id >> 20, sub ORDER BY id) AS again FROM deliveries) AS later
         WHERE later.again IS NOT NULL AND deliveries.id = later.id;
     UPDATE submitted_ids SET content = NULL;",
    // The repeats of an attempt's request, NULL for none; and the detail of the successful attempt.
    "ALTER TABLE deliveries ADD COLUMN detail TEXT;
     ALTER TABLE deliveries ADD COLUMN repeats INTEGER;
     ALTER TABLE attempts ADD COLUMN repeats INTEGER;",
    // Whether the event is an operational event of the worker; NULL for others, and for all from before this step.
    "ALTER TABLE events ADD COLUMN operational INTEGER;",
    // The number of attempts that were free: they used up no retry. Attempts from before this step count as not free.
    "ALTER TABLE deliveries ADD COLUMN free_attempts INTEGER NOT NULL DEFAULT 0;",
    // The rendering of the failed attempts of a delivery, so that its retries send the same body although the format has changed;
    // NULL for plain events. `body_hash` is NULL also for requests with several events.
    "ALTER TABLE deliveries ADD COLUMN rendering INTEGER;
     ALTER TABLE deliveries ADD COLUMN body_hash INTEGER;
     CREATE INDEX rendered ON deliveries (rendering) WHERE rendering IS NOT NULL;
     CREATE TABLE renderings (id INTEGER PRIMARY KEY, settings TEXT NOT NULL);",
];

/// The schema version of this program.
pub(super) const OURS: i64 = STEPS.len() as i64;

/// Returns whether the database is empty.
pub(super) fn is_new(conn: &Connection) -> rusqlite::Result<bool> {
    conn.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))
}

/// Migrates an empty or older database to the current schema in one transaction.
pub(super) fn migrate(conn: &mut Connection, path: &Path) -> Result<(), Error> {
    if is_new(conn)? {
        conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    let found = check(conn, path)?;
    if found == OURS {
        return Ok(());
    }
    let tx = conn.transaction()?;
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        tx.execute_batch(step)?;
    }
    tx.pragma_update(None, "user_version", OURS)?;
    Ok(tx.commit()?)
}

/// Returns the schema version of the database.
///
/// # Errors
/// The database is not a queue, or has a newer schema.
pub(super) fn check(conn: &Connection, path: &Path) -> Result<i64, Error> {
    let pragma = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    if pragma("application_id").map_err(|error| Error::opening(path, error))? != APPLICATION_ID {
        return Err(Error::NotAQueue(path.into()));
    }
    let found = pragma("user_version")?;
    if !(0..=OURS).contains(&found) {
        return Err(Error::NewerSchema { path: path.into(), found, ours: OURS });
    }
    Ok(found)
}

/// Returns the steps of SQLite's query plan for a statement, with `NULL` for every parameter.
#[cfg(test)]
pub(in crate::queue) fn query_plan(sql: &str) -> Vec<String> {
    let mut conn = Connection::open_in_memory().unwrap();
    migrate(&mut conn, Path::new("memory")).unwrap();
    let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let nulls = vec![rusqlite::types::Null; explain.parameter_count()];
    let steps = explain.query_map(rusqlite::params_from_iter(nulls), |row| row.get("detail")).unwrap();
    steps.collect::<Result<_, _>>().unwrap()
}
