//! The encryption of the secrets in the extension table.

use std::collections::BTreeMap;

use decnet_core::subscription::Problem;
use decnet_core::time::UnixMicros;
use rusqlite::Connection;

use super::audit::{AuditObject, FieldChange, Recorder};
use super::error::{Abort, Error};
use super::extension_table::{ExtensionRow, ExtensionTable, IS_ENCRYPTED, SECRET_COLUMNS};
use super::open::Catalog;
use super::schema::column_names;
use super::sql_value::SqlValue;
use crate::sql;
use crate::vault::{Keys, Place, Sealed};

/// Number of rows that one transaction of [`Catalog::reencrypt`] changes, so that other processes do not wait.
const STEP_ROWS: usize = 200;

/// The encryption of a catalog's secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encryption {
    /// The number of values that are not encrypted.
    pub plain: u64,
    /// The number of values by the id of the key that has encrypted them. The id is empty for values of an unknown form.
    pub by_key: BTreeMap<String, u64>,
}

/// The result of [`Catalog::reencrypt`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reencrypted {
    /// The number of values that were written.
    pub changed: u64,
    /// The number of values that had the wanted form.
    pub unchanged: u64,
    /// The number of values that cannot be decrypted. They are unchanged.
    pub locked: u64,
}

/// Returns a stored value, decrypted.
///
/// # Errors
/// [`Problem::Encrypted`].
pub(super) fn open(
    keys: &Keys,
    column: &'static str,
    row: &str,
    value: SqlValue,
) -> Result<SqlValue, Problem> {
    let opened = match &value {
        SqlValue::Text(text) => keys.open(Place { column, row }, text),
        _ => None,
    };
    match opened {
        None => Ok(value),
        Some(Ok(text)) => Ok(SqlValue::Text(text.into())),
        Some(Err(what)) => Err(Problem::Encrypted { column, what }),
    }
}

/// Returns the form in which a value is stored: encrypted if there is a key file.
///
/// # Errors
/// [`Error::KeyFile`], or [`Error::NoKeyFile`].
pub(super) fn seal(
    conn: &Connection,
    keys: &Keys,
    column: &'static str,
    row: &str,
    text: &str,
) -> Result<String, Abort> {
    match keys.seal(Place { column, row }, text).map_err(|why| Error::KeyFile((&*why).into()))? {
        Some(sealed) => Ok(sealed),
        None if has_encrypted(conn)? => Err(Error::NoKeyFile.into()),
        None => Ok(text.to_owned()),
    }
}

fn has_encrypted(conn: &Connection) -> rusqlite::Result<bool> {
    let exists = format!("SELECT EXISTS (SELECT 1 FROM decnet_webhook_settings WHERE {IS_ENCRYPTED})");
    sql::value(conn, &exists, [])
}

/// Returns the encryption of the secrets in a database; the columns may be those of an older version.
pub(crate) fn census(conn: &Connection) -> rusqlite::Result<Encryption> {
    let mut encryption = Encryption::default();
    let present = column_names(conn, "decnet_webhook_settings")?;
    for column in SECRET_COLUMNS.iter().filter(|column| present.iter().any(|found| found == *column)) {
        let select = format!("SELECT {column} FROM decnet_webhook_settings WHERE {column} IS NOT NULL");
        let mut statement = conn.prepare(&select)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            encryption.count(row.get_ref(0)?.as_str().unwrap_or_default());
        }
    }
    Ok(encryption)
}

impl Encryption {
    fn count(&mut self, text: &str) {
        match Sealed::parse(text) {
            None if is_empty(text) => {}
            None => self.plain += 1,
            Some(sealed) => {
                let id = sealed.map_or("", |sealed| sealed.key_id);
                *self.by_key.entry(id.to_owned()).or_default() += 1;
            }
        }
    }
}

/// Returns whether a text contains no secret: older versions store an empty object.
fn is_empty(text: &str) -> bool {
    matches!(text, "" | "{}" | "[]")
}

impl Catalog {
    /// Returns the encryption of the secrets.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn encryption(&self) -> Result<Encryption, Error> {
        census(&self.connection).map_err(self.sqlite_error())
    }

    /// Encrypts all secrets with the first key; with `decrypt`, stores them unencrypted. Other processes can read and write
    /// meanwhile. If it is interrupted, a second call does the rest. Each transaction that writes values has an audit entry with their
    /// number and the key.
    ///
    /// # Errors
    /// The key file cannot be used, or the file cannot be read or written.
    pub fn reencrypt(&mut self, decrypt: bool, now: UnixMicros) -> Result<Reencrypted, Error> {
        let keys = self.keys.clone();
        if let Some(why) = keys.problem() {
            return Err(Error::KeyFile(why.into()));
        }
        let first = keys.first_id().filter(|_| !decrypt);
        let (mut total, mut after) = (Reencrypted::default(), String::new());
        loop {
            let step = self.change(now, |transaction, path, recorder| {
                if ExtensionTable::migrated(transaction, path)? == ExtensionTable::Absent {
                    return Ok(None);
                }
                let before = total.changed;
                let step = reencrypt_step(transaction, &keys, first.as_deref(), &after, &mut total)?;
                if total.changed > before {
                    record(recorder, first.as_deref(), total.changed - before)?;
                }
                Ok(step)
            })?;
            match step {
                Some(last) => after = last,
                None => return Ok(total),
            }
        }
    }
}

/// Records that values were encrypted with a key, or decrypted.
fn record(recorder: &mut Recorder<'_>, key: Option<&str>, values: u64) -> Result<(), Abort> {
    let object = AuditObject { kind: "keys".into(), id: String::new(), name: String::new() };
    let values = FieldChange::to("values", values.to_string());
    let key = key.map(|key| FieldChange::to("key", key));
    let action = if key.is_some() { "encrypt" } else { "decrypt" };
    recorder.record(action, object, key.into_iter().chain([values]).collect())
}

/// Changes the rows that follow `after`. Returns the UUID of the last; `None` if there are no more.
fn reencrypt_step(
    conn: &Connection,
    keys: &Keys,
    first: Option<&str>,
    after: &str,
    total: &mut Reencrypted,
) -> Result<Option<String>, Abort> {
    let select =
        format!("SELECT uuid FROM decnet_webhook_settings WHERE uuid > ?1 ORDER BY uuid LIMIT {STEP_ROWS}");
    let uuids: Vec<String> = sql::all(conn, &select, [after], |row| row.get(0))?;
    for uuid in &uuids {
        for column in SECRET_COLUMNS {
            reencrypt_value(ExtensionRow { conn, uuid }, keys, first, column, total)?;
        }
    }
    Ok(uuids.into_iter().next_back())
}

fn reencrypt_value(
    row: ExtensionRow<'_>,
    keys: &Keys,
    first: Option<&str>,
    column: &'static str,
    total: &mut Reencrypted,
) -> Result<(), Abort> {
    let SqlValue::Text(stored) = row.get(column)? else { return Ok(()) };
    let current = Sealed::parse(&stored).map(|sealed| sealed.map_or("", |sealed| sealed.key_id));
    if current.is_none() && is_empty(&stored) {
        return Ok(());
    }
    if current == first {
        total.unchanged += 1;
        return Ok(());
    }
    match row.get_secret(keys, column) {
        Ok(SqlValue::Text(text)) if first.is_some() => row.set_secret(keys, column, Some(&text))?,
        Ok(value) => row.set(column, value.text().ok())?,
        Err(abort) if abort.is_locked() => {
            total.locked += 1;
            return Ok(());
        }
        Err(abort) => return Err(abort),
    }
    total.changed += 1;
    Ok(())
}
