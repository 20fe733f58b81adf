//! Opening a catalog: an existing DECNET database as it is, or a new one that DECNET could use.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use decnet_core::limits::CATALOG_BUSY_TIMEOUT;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::error::Error;
use super::schema::{COLUMNS, CREATE, TRIPPED_AT};
use super::side::{self, Side};
use super::trips::Trips;
use crate::origin::Origin;
use crate::ownership::{directory_of, hand_over};

/// Only its owner may read a catalog that we make: it holds every secret.
const FILE_MODE: u32 = 0o600;
/// Different texts of statements that are worth keeping prepared.
const PREPARED_STATEMENTS: usize = 64;
/// Between two tries to change the kind of journal.
const JOURNAL_PAUSE: Duration = Duration::from_millis(10);

/// May a catalog be made where there is none?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Create {
    /// Make the file, or fill an empty one. A database that holds other tables is never added to.
    IfMissing,
    /// Only what is there already.
    Never,
}

/// The subscriptions of one SQLite file, over one connection.
///
/// Every call is one short statement or transaction; none is left open between calls, so that DECNET's own
/// processes are never kept waiting. Calls block for as long as the disk, or another writer up to
/// [`CATALOG_BUSY_TIMEOUT`], takes.
#[derive(Debug)]
pub struct Catalog {
    pub(super) connection: Connection,
    origin: Origin,
}

impl Catalog {
    /// Opens a catalog.
    ///
    /// # Errors
    /// Each [`Error`] says what to do: no such file, no database, none of DECNET's, settings of a newer
    /// program, no permission.
    pub fn open(path: &Path, create: Create) -> Result<Self, Error> {
        if create == Create::IfMissing {
            make_file(path)?;
        }
        let origin = Origin::of(path);
        let mut catalog = Self { connection: connect(path)?, origin };
        if create == Create::IfMissing && catalog.is_empty()? {
            catalog.make_table()?;
        }
        catalog.check_columns()?;
        catalog.side()?;
        Ok(catalog)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.origin.path()
    }

    /// Is the file still the one at its path? A catalog that was restored is another file: what is read and written here
    /// is then in the one that was moved away.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.origin.is_current()
    }

    /// Opens the catalog again if its path leads to another file, as after a restore; returns whether it did.
    ///
    /// # Errors
    /// The new file cannot be used, there is none, or it has no subscriptions, as one that was made by mistake: then this
    /// catalog stays as it is.
    pub fn follow(&mut self) -> Result<bool, Error> {
        if self.is_current() {
            return Ok(false);
        }
        let path = self.path();
        let new = Self::open(path, Create::Never).map_err(|error| match error {
            Error::Missing { path } => Error::Removed { path },
            error => error,
        })?;
        let has_rows = "SELECT EXISTS (SELECT 1 FROM webhook_subscriptions)";
        if !new.connection.query_row(has_rows, [], |row| row.get(0)).map_err(new.explain())? {
            return Err(Error::Emptied { path: path.into() });
        }
        *self = new;
        Ok(true)
    }

    /// Adds the file's name, and what to do, to what SQLite says.
    pub(super) fn explain(&self) -> impl Fn(rusqlite::Error) -> Error {
        |source| Error::from_sqlite(self.path(), source)
    }

    /// Are our own tables there? Refuses a newer version of them.
    pub(super) fn side(&self) -> Result<Side, Error> {
        side::look(&self.connection).map_err(self.explain())?.map_err(|newer| newer.into_error(self.path()))
    }

    /// Returns where this file keeps the trips of its rows.
    pub(super) fn trips(&self) -> Result<Trips, Error> {
        Trips::detect(&self.connection).map_err(self.explain())
    }

    /// Runs one short write transaction, told whether our own tables are there. What SQLite refuses and what
    /// `work` refuses (the inner result) both leave no trace. Tables of an older program are brought up to date first.
    pub(super) fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, Side) -> rusqlite::Result<Result<T, Error>>,
    ) -> Result<T, Error> {
        let path = self.path().to_owned();
        self.transact(|transaction| match side::look(transaction)? {
            Ok(Side::Older(_)) => {
                side::make(transaction)?;
                work(transaction, Side::Present)
            }
            Ok(side) => work(transaction, side),
            Err(newer) => Ok(Err(newer.into_error(&path))),
        })
    }

    /// The same without a look at the tables of settings.
    pub(super) fn transact<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<Result<T, Error>>,
    ) -> Result<T, Error> {
        self.try_transact(work).map_err(self.explain())?
    }

    fn try_transact<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<Result<T, Error>>,
    ) -> rusqlite::Result<Result<T, Error>> {
        // Taking the write lock at once is what makes SQLite wait for it: a reader that becomes a writer later
        // fails without waiting if somebody wrote in between.
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = work(&transaction)?;
        if result.is_ok() {
            transaction.commit()?;
        } else {
            transaction.rollback()?;
        }
        Ok(result)
    }

    fn is_empty(&self) -> Result<bool, Error> {
        let count = "SELECT COUNT(*) FROM sqlite_master";
        let count = self.connection.query_row(count, [], |row| row.get::<_, i64>(0));
        Ok(count.map_err(self.explain())? == 0)
    }

    /// As DECNET would: in WAL, so that its processes and ours read while another writes.
    fn make_table(&mut self) -> Result<(), Error> {
        self.keep_a_log()?;
        self.write(|transaction, _| transaction.execute_batch(CREATE).map(Ok))
    }

    /// Services that start together make the catalog together, and SQLite itself does not wait where the kind of journal
    /// changes under another's hands.
    fn keep_a_log(&self) -> Result<(), Error> {
        let patience = Instant::now() + CATALOG_BUSY_TIMEOUT;
        loop {
            let wal = self.connection.pragma_update(None, "journal_mode", "WAL").map_err(self.explain());
            match wal {
                Err(Error::Busy { .. }) if Instant::now() < patience => std::thread::sleep(JOURNAL_PAUSE),
                done => return done,
            }
        }
    }

    fn check_columns(&self) -> Result<(), Error> {
        let present = self.table_columns().map_err(self.explain())?;
        if present.is_empty() {
            return Err(Error::NoTable { path: self.path().into() });
        }
        let mut required = COLUMNS.into_iter().filter(|column| *column != TRIPPED_AT);
        let missing = required.find(|column| !present.iter().any(|name| name == column));
        missing.map_or(Ok(()), |column| Err(Error::NoColumn { path: self.path().into(), column }))
    }

    fn table_columns(&self) -> rusqlite::Result<Vec<String>> {
        let names = "SELECT name FROM pragma_table_info('webhook_subscriptions')";
        self.connection.prepare(names)?.query_map([], |row| row.get(0))?.collect()
    }
}

/// Makes an empty file that only its owner can read, unless there is one.
fn make_file(path: &Path) -> Result<(), Error> {
    match OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path) {
        Ok(file) => {
            // A catalog made by an operator's command must not be closed to the service's user.
            hand_over(&file, directory_of(path)).map_err(|source| Error::file(path, source))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(Error::file(path, source)),
    }
}

fn connect(path: &Path) -> Result<Connection, Error> {
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(Error::NotADatabase { path: path.into() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::Missing { path: path.into() });
        }
        Err(source) => return Err(Error::file(path, source)),
    }
    // Neither CREATE nor URI: a file that vanishes now is not made anew, and a path is only a path.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let explain = |source| Error::from_sqlite(path, source);
    let connection = Connection::open_with_flags(path, flags).map_err(explain)?;
    connection.busy_timeout(CATALOG_BUSY_TIMEOUT).map_err(explain)?;
    // A secret that is removed is overwritten: little is written here, so that costs little.
    connection.pragma_update_and_check(None, "secure_delete", "ON", |_| Ok(())).map_err(explain)?;
    connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
    Ok(connection)
}
