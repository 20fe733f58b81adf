//! Opening a catalog: an existing database of DECNET, or a new database that DECNET can use.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use decnet_core::limits::CATALOG_BUSY_TIMEOUT;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::error::Error;
use super::extension_table::{self, ExtensionTable};
use super::schema::{COLUMNS, CREATE, TRIPPED_AT, column_names};
use super::trips::Trips;
use crate::file_identity::OpenedFile;
use crate::ownership::{chown_to_parent, directory_of};

/// The mode of a new file: only its owner may read it, since it contains all secrets.
const FILE_MODE: u32 = 0o600;
/// Capacity of the cache of prepared statements.
const PREPARED_STATEMENTS: usize = 64;
/// Delay between two attempts to set the journal mode.
const WAL_RETRY_DELAY: Duration = Duration::from_millis(10);

/// Whether to create a catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Create {
    /// The file is created, or the table in an empty file. A database with other tables is not changed.
    IfMissing,
    /// Only an existing catalog is opened.
    Never,
}

/// A connection to the SQLite file with the subscriptions.
///
/// Every call is one short statement or transaction. No transaction stays open between calls, so that DECNET's processes
/// do not wait. Calls block during disk access, and up to [`CATALOG_BUSY_TIMEOUT`] while another process writes.
#[derive(Debug)]
pub struct Catalog {
    pub(super) connection: Connection,
    file: OpenedFile,
}

impl Catalog {
    /// Opens a catalog.
    ///
    /// # Errors
    /// The file does not exist, is not a database of DECNET, has an extension table of a newer program, or is not accessible.
    pub fn open(path: &Path, create: Create) -> Result<Self, Error> {
        if create == Create::IfMissing {
            create_file(path)?;
        }
        let file = OpenedFile::of(path);
        let mut catalog = Self { connection: connect(path)?, file };
        if create == Create::IfMissing && catalog.is_empty()? {
            catalog.create_table()?;
        }
        catalog.check_columns()?;
        catalog.extension_table()?;
        Ok(catalog)
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Returns whether the path still leads to the open file. After a restore, it leads to another file.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.file.is_current()
    }

    /// Opens the file again if its path leads to another file, as after a restore. Returns whether the file was opened again.
    ///
    /// # Errors
    /// The new file does not exist, cannot be used, or has no subscriptions because it was created by mistake. In that case this
    /// catalog keeps the old file.
    pub fn reopen_if_replaced(&mut self) -> Result<bool, Error> {
        if self.is_current() {
            return Ok(false);
        }
        let path = self.path();
        let new = Self::open(path, Create::Never).map_err(|error| match error {
            Error::Missing(path) => Error::Removed(path),
            error => error,
        })?;
        let has_rows = "SELECT EXISTS (SELECT 1 FROM webhook_subscriptions)";
        if !new.connection.query_row(has_rows, [], |row| row.get(0)).map_err(new.sqlite_error())? {
            return Err(Error::Emptied(path.into()));
        }
        *self = new;
        Ok(true)
    }

    /// Returns a function that converts an error of SQLite and adds the path.
    pub(super) fn sqlite_error(&self) -> impl Fn(rusqlite::Error) -> Error {
        |source| Error::from_sqlite(self.path(), source)
    }

    /// Returns the state of the extension table.
    ///
    /// # Errors
    /// [`Error::NewerSchema`], or the file cannot be read.
    pub(super) fn extension_table(&self) -> Result<ExtensionTable, Error> {
        extension_table::detect(&self.connection, self.path()).map_err(self.sqlite_error())?
    }

    /// Returns the places where this file stores trips.
    pub(super) fn trips(&self) -> Result<Trips, Error> {
        Trips::detect(&self.connection).map_err(self.sqlite_error())
    }

    /// Runs a short write transaction and passes the state of the extension table to `work`. Migrates an older extension table
    /// first. Rolls back if SQLite or `work` (the inner result) fails.
    pub(super) fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, ExtensionTable) -> rusqlite::Result<Result<T, Error>>,
    ) -> Result<T, Error> {
        let path = self.path().to_owned();
        self.transact(|transaction| match extension_table::detect(transaction, &path)? {
            Ok(ExtensionTable::Older(_)) => {
                extension_table::migrate(transaction)?;
                work(transaction, ExtensionTable::Present)
            }
            Ok(extension) => work(transaction, extension),
            Err(newer) => Ok(Err(newer)),
        })
    }

    /// Runs a short write transaction, like [`Self::write`], without reading the extension table.
    pub(super) fn transact<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<Result<T, Error>>,
    ) -> Result<T, Error> {
        self.try_transact(work).map_err(self.sqlite_error())?
    }

    fn try_transact<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<Result<T, Error>>,
    ) -> rusqlite::Result<Result<T, Error>> {
        // SQLite waits for the write lock only at the beginning. A read transaction that becomes a write transaction fails at
        // once if another process has written in between.
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
        Ok(count.map_err(self.sqlite_error())? == 0)
    }

    /// Creates the table in WAL mode, as DECNET does, so that processes can read while another process writes.
    fn create_table(&mut self) -> Result<(), Error> {
        self.enable_wal()?;
        self.write(|transaction, _| transaction.execute_batch(CREATE).map(Ok))
    }

    /// Enables WAL mode. Retries while the file is busy, since services that start together may all create the catalog and
    /// SQLite does not wait for the lock when it changes the journal mode.
    fn enable_wal(&self) -> Result<(), Error> {
        let deadline = Instant::now() + CATALOG_BUSY_TIMEOUT;
        loop {
            let wal = self.connection.pragma_update(None, "journal_mode", "WAL").map_err(self.sqlite_error());
            match wal {
                Err(Error::Busy { .. }) if Instant::now() < deadline => std::thread::sleep(WAL_RETRY_DELAY),
                done => return done,
            }
        }
    }

    fn check_columns(&self) -> Result<(), Error> {
        let present = column_names(&self.connection, "webhook_subscriptions").map_err(self.sqlite_error())?;
        if present.is_empty() {
            return Err(Error::NoTable(self.path().into()));
        }
        let mut required = COLUMNS.into_iter().filter(|column| *column != TRIPPED_AT);
        let missing = required.find(|column| !present.iter().any(|name| name == column));
        missing.map_or(Ok(()), |column| Err(Error::NoColumn { path: self.path().into(), column }))
    }
}

/// Creates an empty file that only its owner can read, unless the file exists.
fn create_file(path: &Path) -> Result<(), Error> {
    match OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path) {
        Ok(file) => {
            // The service's user must be able to use a catalog that root creates.
            chown_to_parent(&file, directory_of(path)).map_err(|source| Error::file(path, source))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(Error::file(path, source)),
    }
}

fn connect(path: &Path) -> Result<Connection, Error> {
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(Error::NotADatabase(path.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::Missing(path.into()));
        }
        Err(source) => return Err(Error::file(path, source)),
    }
    // Without CREATE, a file that was just removed is not created. Without URI, a path is not parsed.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sqlite_error = |source| Error::from_sqlite(path, source);
    let connection = Connection::open_with_flags(path, flags).map_err(sqlite_error)?;
    connection.busy_timeout(CATALOG_BUSY_TIMEOUT).map_err(sqlite_error)?;
    // Overwrites removed secrets. The cost is low because writes are rare.
    connection.pragma_update_and_check(None, "secure_delete", "ON", |_| Ok(())).map_err(sqlite_error)?;
    connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
    Ok(connection)
}
