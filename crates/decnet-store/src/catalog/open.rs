//! Opening a catalog: an existing database of DECNET, or a new database that DECNET can use.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use decnet_core::limits::CATALOG_BUSY_TIMEOUT;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::audit::{Actor, AuditEntry};
use super::error::{Abort, Error};
use super::extension_table::ExtensionTable;
use super::schema::{COLUMNS, CREATE, TRIPPED_AT, column_names};
use super::trips::Trips;
use crate::file_identity::OpenedFile;
use crate::ownership::create_private;
use crate::sql;
use crate::vault::Keys;

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
    /// The keys that encrypt and decrypt secrets.
    pub(super) keys: Keys,
    /// Who changes something; `None` for the user of this process.
    pub(super) actor: Option<Actor>,
    /// The entries of the audit list that were written and not published yet.
    pub(super) unpublished: Vec<AuditEntry>,
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
        let (connection, keys) = (connect(path)?, Keys::default());
        let mut catalog = Self { connection, file, keys, actor: None, unpublished: Vec::new() };
        if create == Create::IfMissing && catalog.is_empty()? {
            catalog.create_table()?;
        }
        catalog.check_columns()?;
        catalog.extension_table()?;
        Ok(catalog)
    }

    /// Uses these keys for secrets. By default there are none: secrets are stored unencrypted, and encrypted ones cannot be read.
    #[must_use]
    pub fn with_keys(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.path
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
        if !sql::value(&new.connection, has_rows, []).map_err(new.sqlite_error())? {
            return Err(Error::Emptied(path.into()));
        }
        *self = new.with_keys(self.keys.clone());
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
        ExtensionTable::detect(&self.connection, self.path()).map_err(|abort| abort.at(self.path()))
    }

    /// Returns the places where this file stores trips.
    pub(super) fn trips(&self) -> Result<Trips<'_>, Error> {
        Trips::detect(&self.connection).map_err(self.sqlite_error())
    }

    /// Runs a short write transaction that has no entry in the audit list, and passes the state of the extension table to `work`.
    /// Migrates an older extension table first. Rolls back if `work` fails.
    pub(super) fn write_unrecorded<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, ExtensionTable) -> Result<T, Abort>,
    ) -> Result<T, Error> {
        self.transact(|transaction, path| {
            let extension = ExtensionTable::migrated(transaction, path)?;
            work(transaction, extension)
        })
    }

    /// Runs a short write transaction, like [`Self::write_unrecorded`], without reading the extension table. Passes the path of the
    /// file to `work`.
    pub(super) fn transact<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &Path) -> Result<T, Abort>,
    ) -> Result<T, Error> {
        let Self { connection, file, .. } = self;
        let run = || {
            // SQLite waits for the write lock only at the beginning. A read transaction that becomes a write transaction fails at
            // once if another process has written in between.
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&transaction, &file.path)?;
            transaction.commit()?;
            Ok(result)
        };
        run().map_err(|abort: Abort| abort.at(&file.path))
    }

    fn is_empty(&self) -> Result<bool, Error> {
        let is_empty = "SELECT NOT EXISTS (SELECT 1 FROM sqlite_master)";
        sql::value(&self.connection, is_empty, []).map_err(self.sqlite_error())
    }

    /// Creates the table in WAL mode, as DECNET does, so that processes can read while another process writes.
    fn create_table(&mut self) -> Result<(), Error> {
        self.enable_wal()?;
        self.write_unrecorded(|transaction, _| Ok(transaction.execute_batch(CREATE)?))
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

/// Creates an empty file, unless the file exists. Only its owner can read it, since it will contain all secrets.
fn create_file(path: &Path) -> Result<(), Error> {
    match create_private(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Error::file(path, error)),
        _ => Ok(()),
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
    let sqlite_error = |source| Error::from_sqlite(path, source);
    // Without SQLITE_OPEN_CREATE, a file that was just removed is not created.
    let connection = sql::open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, CATALOG_BUSY_TIMEOUT);
    let connection = connection.map_err(sqlite_error)?;
    // Overwrites removed secrets. The cost is low because writes are rare.
    connection.pragma_update_and_check(None, "secure_delete", "ON", |_| Ok(())).map_err(sqlite_error)?;
    connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
    Ok(connection)
}
