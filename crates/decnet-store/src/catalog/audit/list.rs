//! Reading the audit list.

use std::borrow::Cow;

use decnet_core::limits::{MAX_AUDIT_VALUE_CHARS, MAX_CATALOG_VALUE_BYTES, MAX_NAME_CHARS};
use decnet_core::time::UnixMicros;
use rusqlite::{Row, params};

use super::{Actor, AuditEntry, AuditObject, FieldChange, has_table};
use crate::catalog::error::Error;
use crate::catalog::open::Catalog;
use crate::catalog::sql_value::SqlValue;
use crate::sql;

/// The selection of entries. An entry must match all conditions that are set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// The id of the last entry of the previous page; entries with smaller ids follow.
    pub before: Option<i64>,
    /// The earliest time.
    pub since: Option<UnixMicros>,
    /// The id or the name of the actor.
    pub actor: Option<String>,
    /// The UUID of the subscription, or its name at the time of the entry.
    pub subscription: Option<String>,
    /// The maximum number of entries.
    pub limit: u32,
}

const SELECT: &str = "
    SELECT id, at, actor_kind, actor_id, actor_name, action, object_kind, object_id, object_name, changes
    FROM decnet_audit
    WHERE (?1 IS NULL OR id < ?1)
      AND (?2 IS NULL OR at >= ?2)
      AND (?3 IS NULL OR actor_id = ?3 OR actor_name = ?3)
      AND (?4 IS NULL OR object_kind = 'subscription' AND (object_id = ?4 OR object_name = ?4))
    ORDER BY id DESC LIMIT ?5";

impl Catalog {
    /// Returns entries of the audit list, newest first.
    ///
    /// # Errors
    /// The file cannot be read, or a newer program wrote the list.
    pub fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, Error> {
        let path = self.path();
        if !has_table(&self.connection, path).map_err(|abort| abort.at(path))? {
            return Ok(Vec::new());
        }
        let AuditFilter { before, since, actor, subscription, limit } = filter;
        let values = params![before, since.map(|at| at.0), actor, subscription, limit];
        sql::all(&self.connection, SELECT, values, read).map_err(self.sqlite_error())
    }
}

/// Reads a row, which may hold anything.
fn read(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    let text = |index, max| row.get::<_, SqlValue>(index).map(|value| value.display(max));
    let name = |index| text(index, MAX_NAME_CHARS);
    let kind = |index| name(index).map(Cow::Owned);
    let changes = row.get::<_, SqlValue>(9)?;
    let changes = changes.text().ok().filter(|text| text.len() <= MAX_CATALOG_VALUE_BYTES);
    let changes: Option<Vec<FieldChange>> = changes.and_then(|text| serde_json::from_str(text).ok());
    Ok(AuditEntry {
        id: row.get(0)?,
        at: UnixMicros(if let SqlValue::Integer(at) = row.get(1)? { at } else { 0 }),
        actor: Actor {
            kind: kind(2)?,
            id: text(3, MAX_AUDIT_VALUE_CHARS)?,
            name: text(4, MAX_AUDIT_VALUE_CHARS)?,
        },
        action: kind(5)?,
        object: AuditObject {
            kind: kind(6)?,
            id: text(7, MAX_AUDIT_VALUE_CHARS)?,
            name: text(8, MAX_AUDIT_VALUE_CHARS)?,
        },
        changes: changes.unwrap_or_default(),
    })
}
