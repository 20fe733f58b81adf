//! The audit list: who changed which subscription, token or key, and what. Each entry is written in the transaction of its change,
//! so that neither exists without the other.
//!
//! - [`Catalog::change`] and [`Catalog::change_subscription`] run a change and record it; [`Recorder`] writes the entries;
//! - [`Actor`] is who changes something: the user of the process, unless [`Catalog::acting_as`] sets another;
//! - `comparison` finds what a change of a subscription has changed.
//!
//! An entry never contains a secret, and of a URL only scheme, host and port. Changes by programs that write DECNET's table
//! themselves, such as DECNET, have no entry. Neither have results of deliveries, which the worker records.

mod actor;
mod comparison;
mod list;

use std::borrow::Cow;
use std::path::Path;

use decnet_core::limits::{AUDIT_RETENTION, MAX_AUDIT_ENTRIES, MAX_AUDIT_EXPIRIES, MAX_AUDIT_UNPUBLISHED};
use decnet_core::time::UnixMicros;
use rusqlite::{Connection, Transaction, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::actor::Actor;
pub use self::list::AuditFilter;
use super::error::{Abort, Error};
use super::extension_table::ExtensionTable;
use super::load::RawRow;
use super::open::Catalog;
use super::schema::table_exists;
use super::schema_version::SchemaVersion;
use crate::sql;

/// A version of its own, so that an older program can use a catalog with a newer list, but cannot change it.
const VERSION: SchemaVersion =
    SchemaVersion { table: "decnet_audit_schema", what: "an audit list", supported: 1 };

/// Only the oldest entries are removed, so an id is never used twice.
const CREATE: &str = "
    CREATE TABLE IF NOT EXISTS decnet_audit (
        id INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        actor_kind TEXT NOT NULL,
        actor_id TEXT NOT NULL,
        actor_name TEXT NOT NULL,
        action TEXT NOT NULL,
        object_kind TEXT NOT NULL,
        object_id TEXT NOT NULL,
        object_name TEXT NOT NULL,
        changes TEXT NOT NULL
    )";

/// One entry of the audit list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// The id; greater than those of all earlier entries.
    pub id: i64,
    /// The time of the change.
    pub at: UnixMicros,
    /// Who changed something.
    pub actor: Actor,
    /// What was done: `create`, `update`, `enable`, `disable`, `pause`, `resume`, `rotate_secret`, `revoke_old_secrets`, `delete`,
    /// `revoke`, `log_in`, `encrypt` or `decrypt`.
    pub action: Cow<'static, str>,
    /// What was changed.
    pub object: AuditObject,
    /// The changed fields.
    pub changes: Vec<FieldChange>,
}

impl AuditEntry {
    /// Returns the payload of the event about this entry: everything except the changes.
    #[must_use]
    pub fn event(&self) -> Value {
        let Self { id, at, actor, action, object, .. } = self;
        json!({"id": id, "at": at.to_iso8601(), "actor": actor, "action": action, "object": object})
    }
}

/// What an entry is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditObject {
    /// `subscription`, `token`, `link` or `keys`.
    pub kind: Cow<'static, str>,
    /// The UUID of the subscription, or the id of the token or the link; empty for `keys`.
    pub id: String,
    /// The name after the change, or before a deletion; empty for `keys`.
    pub name: String,
}

/// A changed field. Values that may be secret are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// The name of the field, as in the API.
    pub field: String,
    /// The value before the change, if it is shown.
    pub from: Option<String>,
    /// The value after the change, if it is shown.
    pub to: Option<String>,
}

impl FieldChange {
    /// Returns a field that has a new value.
    pub(super) fn to(field: &str, value: impl Into<String>) -> Self {
        Self { field: field.into(), from: None, to: Some(value.into()) }
    }
}

/// Writes the entries of one change.
pub(super) struct Recorder<'a> {
    conn: &'a Transaction<'a>,
    path: &'a Path,
    actor: Actor,
    now: UnixMicros,
    entries: Vec<AuditEntry>,
}

impl Recorder<'_> {
    /// Writes an entry. Creates the table first if it does not exist.
    ///
    /// # Errors
    /// The file cannot be written, or a newer program wrote the list.
    pub(super) fn record(
        &mut self,
        action: &'static str,
        object: AuditObject,
        changes: Vec<FieldChange>,
    ) -> Result<(), Abort> {
        if self.entries.is_empty() && !has_table(self.conn, self.path)? {
            self.conn.execute_batch(CREATE)?;
            VERSION.write(self.conn)?;
        }
        let insert = "INSERT INTO decnet_audit
            (at, actor_kind, actor_id, actor_name, action, object_kind, object_id, object_name, changes)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let json = serde_json::to_string(&changes).expect("texts are valid JSON");
        let (actor, at) = (self.actor.clone(), self.now);
        let values = params![
            at.0,
            actor.kind,
            actor.id,
            actor.name,
            action,
            object.kind,
            object.id,
            object.name,
            json
        ];
        sql::execute(self.conn, insert, values)?;
        let id = self.conn.last_insert_rowid();
        self.entries.push(AuditEntry { id, at, actor, action: action.into(), object, changes });
        Ok(())
    }

    /// Writes an entry about a subscription, given its row before and after the change.
    ///
    /// # Errors
    /// See [`Self::record`].
    pub(super) fn record_subscription(
        &mut self,
        action: &'static str,
        before: Option<&RawRow>,
        after: Option<&RawRow>,
    ) -> Result<(), Abort> {
        let Some(row) = after.or(before) else { return Ok(()) };
        self.record(action, comparison::object(row), comparison::changes(before, after))
    }

    /// Removes entries beyond the bounds. Returns the written entries.
    fn finish(self) -> rusqlite::Result<Vec<AuditEntry>> {
        let Some(newest) = self.entries.last().map(|entry| entry.id) else { return Ok(self.entries) };
        let beyond = newest.saturating_sub(i64::try_from(MAX_AUDIT_ENTRIES).unwrap_or(i64::MAX));
        sql::execute(self.conn, "DELETE FROM decnet_audit WHERE id <= ?1", [beyond])?;
        let expired = format!(
            "DELETE FROM decnet_audit WHERE id IN (
               SELECT id FROM (SELECT id, at FROM decnet_audit ORDER BY id LIMIT {MAX_AUDIT_EXPIRIES})
               WHERE at < ?1 AND id < ?2)"
        );
        sql::execute(self.conn, &expired, [self.now.before(AUDIT_RETENTION).0, newest])?;
        Ok(self.entries)
    }
}

impl Catalog {
    /// Runs `work` as `actor`. Returns its result and the entries that it has written.
    pub fn acting_as<T>(&mut self, actor: Actor, work: impl FnOnce(&mut Self) -> T) -> (T, Vec<AuditEntry>) {
        let (own, unpublished) = (self.actor.replace(actor), std::mem::take(&mut self.unpublished));
        let done = work(self);
        self.actor = own;
        (done, std::mem::replace(&mut self.unpublished, unpublished))
    }

    /// Returns the entries that this catalog has written since the last call, at most the last [`MAX_AUDIT_UNPUBLISHED`].
    pub fn take_unpublished(&mut self) -> Vec<AuditEntry> {
        std::mem::take(&mut self.unpublished)
    }

    /// Runs a short write transaction, in which `work` records what it changes.
    pub(super) fn change<T>(
        &mut self,
        now: UnixMicros,
        work: impl FnOnce(&Transaction<'_>, &Path, &mut Recorder<'_>) -> Result<T, Abort>,
    ) -> Result<T, Error> {
        let actor = self.actor.clone().unwrap_or_else(Actor::local_user);
        let (done, entries) = self.transact(|transaction, path| {
            let mut recorder = Recorder { conn: transaction, path, actor, now, entries: Vec::new() };
            let done = work(transaction, path, &mut recorder)?;
            Ok((done, recorder.finish()?))
        })?;
        self.unpublished.extend(entries);
        let surplus = self.unpublished.len().saturating_sub(MAX_AUDIT_UNPUBLISHED);
        self.unpublished.drain(..surplus);
        Ok(done)
    }

    /// Runs and records a change of one subscription. Passes the state of the extension table to `work`, as
    /// [`Self::write_unrecorded`] does.
    pub(super) fn change_subscription<T>(
        &mut self,
        uuid: &str,
        action: &'static str,
        now: UnixMicros,
        work: impl FnOnce(&Transaction<'_>, ExtensionTable) -> Result<T, Abort>,
    ) -> Result<T, Error> {
        self.change(now, |transaction, path, recorder| {
            let extension = ExtensionTable::migrated(transaction, path)?;
            let before = RawRow::find_stored(transaction, path, uuid)?;
            let done = work(transaction, extension)?;
            let after = RawRow::find_stored(transaction, path, uuid)?;
            recorder.record_subscription(action, before.as_ref(), after.as_ref())?;
            Ok(done)
        })
    }
}

/// Returns whether the file at `path` has the table.
///
/// # Errors
/// [`Error::NewerSchema`], or the file cannot be read.
fn has_table(conn: &Connection, path: &Path) -> Result<bool, Abort> {
    Ok(VERSION.read(conn, path)?.is_some() && table_exists(conn, "decnet_audit")?)
}
