//! The tables, and the steps that lead to them from every earlier version.

use std::path::Path;

use rusqlite::Connection;

use super::error::Error;

/// `dcnq`: tells a queue from any other SQLite file.
const APPLICATION_ID: i64 = 0x6463_6e71;

/// Step `n` leads from schema `n` to schema `n + 1`. Released steps never change.
const STEPS: &[&str] = &[
    // The ids of events are random: an index on them would dirty a page per event. `Recent` remembers the
    // newest ones instead. Nor has HELD (0) an index, only LINGERING (-1): see `Trail`.
    //
    // The attempt that delivered is in its delivery's own row; the others are in `attempts`. Most deliveries
    // need one attempt, and so they need one row.
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
    // Where the time of an attempt went, for one that delivered in its delivery's row; NULL for a step that was not
    // needed or not finished. An event whose body is empty was erased.
    //
    // `submitted` holds what other processes have handed in and the worker has not yet admitted. What was handed in is
    // remembered by the beginning of a SHA-256, so that random ids of any length cost little; `seq` is the order in which
    // it is forgotten.
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
    // An id is remembered with the beginning of a SHA-256 of what was submitted with it, or NULL if that was before this
    // step. A key is remembered with the seed of the ids that were made for its events; before this step it was with all
    // ids, a line each.
    "ALTER TABLE submitted_ids ADD COLUMN content BLOB;
     ALTER TABLE submitted_keys ADD COLUMN seed BLOB;",
    // A delivery that was sent again has the id of the one that was made for it. It says so itself, since retention may take
    // the later one first. Before this step, a later delivery to the same subscription said it.
    //
    // What stands for an id's event is made of the event in its canonical form; before this step it was of the payload as it
    // came, and is not known.
    "ALTER TABLE deliveries ADD COLUMN again INTEGER;
     UPDATE deliveries SET again = later.again
         FROM (SELECT id, lead(id) OVER (PARTITION BY id >> 20, sub ORDER BY id) AS again FROM deliveries) AS later
         WHERE later.again IS NOT NULL AND deliveries.id = later.id;
     UPDATE submitted_ids SET content = NULL;",
    // How often an attempt sent its request again, NULL for never; and what there is to say about the attempt that
    // delivered.
    "ALTER TABLE deliveries ADD COLUMN detail TEXT;
     ALTER TABLE deliveries ADD COLUMN repeats INTEGER;
     ALTER TABLE attempts ADD COLUMN repeats INTEGER;",
    // Whether the worker made the event itself, about its own deliveries; NULL for all others, and for all before this step.
    "ALTER TABLE events ADD COLUMN operational INTEGER;",
];

/// Schema that this program writes.
pub(super) const OURS: i64 = STEPS.len() as i64;

/// Is this a file in which nothing was made yet?
pub(super) fn is_new(conn: &Connection) -> rusqlite::Result<bool> {
    conn.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))
}

/// Brings a new or older file to our schema, all of it or nothing.
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

/// The file's version, if it is a queue that we can read.
pub(super) fn check(conn: &Connection, path: &Path) -> Result<i64, Error> {
    let pragma = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    if pragma("application_id").map_err(|error| Error::opening(path, error))? != APPLICATION_ID {
        return Err(Error::NotAQueue { path: path.into() });
    }
    let found = pragma("user_version")?;
    if !(0..=OURS).contains(&found) {
        return Err(Error::NewerSchema { path: path.into(), found, ours: OURS });
    }
    Ok(found)
}

/// Returns the steps of SQLite's plan for a statement, with `NULL` for every parameter.
#[cfg(test)]
pub(in crate::queue) fn query_plan(sql: &str) -> Vec<String> {
    let mut conn = Connection::open_in_memory().unwrap();
    migrate(&mut conn, Path::new("memory")).unwrap();
    let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let nulls = vec![rusqlite::types::Null; explain.parameter_count()];
    let steps = explain.query_map(rusqlite::params_from_iter(nulls), |row| row.get("detail")).unwrap();
    steps.collect::<Result<_, _>>().unwrap()
}
