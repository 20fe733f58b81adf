//! Detection of rows that have changed since the table was last read.
//!
//! DECNET's table does not identify changed rows: not every writer sets `updated_at`, and a trigger would alter the
//! table. Therefore each read covers the whole table, but compares only a digest of each row. A row whose digest is
//! unchanged is neither copied nor validated.

use std::hash::Hasher as _;
use std::sync::Arc;

use decnet_core::limits::MAX_SUBSCRIPTIONS;
use rusqlite::types::ValueRef;
use rustc_hash::{FxHashMap, FxHasher};

use super::error::Error;
use super::load::{DUPLICATE, RawRow, Selection, TOO_MANY};
use super::open::Catalog;
use super::schema::COLUMNS;
use super::validate::{RowProblem, StoredSubscription, validate};
use crate::vault::Keys;

/// The digests of the valid rows when the table was last read.
#[derive(Debug, Default)]
pub struct RowDigests {
    /// The digests in the order in which the rows were first found: table order, except for later changes. A lookup tries the
    /// row's index in the table first, since the map takes most of the time with 100,000 rows.
    rows: Vec<RowDigest>,
    positions: FxHashMap<Arc<str>, usize>,
    /// The number of reads so far.
    reads: u64,
}

#[derive(Debug)]
struct RowDigest {
    uuid: Arc<str>,
    /// `None` if the next read must report the row even if it is unchanged.
    digest: Option<u64>,
    /// The number of the read that last found the row.
    read: u64,
}

/// The differences between two reads of the table.
#[derive(Debug, Default)]
pub struct Changes {
    /// The valid rows that are new or differ, in table order. Always includes rows with warnings and held rows.
    pub subscriptions: Vec<StoredSubscription>,
    /// The UUIDs of rows that were valid and are now invalid or deleted.
    pub missing: Vec<Arc<str>>,
    /// All invalid rows, with the reason.
    pub problems: Vec<RowProblem>,
    /// The number of valid rows.
    pub usable: usize,
}

impl RowDigests {
    /// Makes the next read report this row even if it is unchanged.
    pub fn invalidate(&mut self, uuid: &str) {
        if let Some(position) = self.positions.get(uuid) {
            self.rows[*position].digest = None;
        }
    }

    /// Returns whether the row with number `index` of this read is unchanged. A second row with the same UUID counts as changed.
    fn is_unchanged(&mut self, index: usize, uuid: ValueRef<'_>, digest: u64) -> bool {
        let is_at_index = self.rows.get(index).is_some_and(|row| row.digest == Some(digest));
        let position = || uuid.as_str().ok().and_then(|uuid| self.positions.get(uuid).copied());
        let Some(position) = is_at_index.then_some(index).or_else(position) else { return false };
        let row = &mut self.rows[position];
        let is_unchanged = row.digest == Some(digest) && row.read != self.reads;
        if is_unchanged {
            row.read = self.reads;
        }
        is_unchanged
    }

    /// Adds or updates a valid row. Returns `false` if this read has already found its UUID.
    fn upsert(&mut self, stored: &StoredSubscription, digest: u64) -> bool {
        let (uuid, read) = (&*stored.subscription.uuid, self.reads);
        // A hold is reported again too: its cause may be elsewhere, such as a key that the key file does not have.
        let digest = (stored.warnings.is_empty() && stored.hold.is_none()).then_some(digest);
        let Some(position) = self.positions.get(uuid) else {
            let uuid: Arc<str> = uuid.into();
            self.positions.insert(Arc::clone(&uuid), self.rows.len());
            self.rows.push(RowDigest { uuid, digest, read });
            return true;
        };
        let row = &mut self.rows[*position];
        if row.read == read {
            return false;
        }
        (row.digest, row.read) = (digest, read);
        true
    }

    /// Removes the rows that this read has not found and returns their UUIDs. `found` is the number of rows found.
    fn remove_missing(&mut self, found: usize) -> Vec<Arc<str>> {
        if found == self.rows.len() {
            return Vec::new();
        }
        let read = self.reads;
        let missing = self.rows.extract_if(.., |row| row.read != read).map(|row| row.uuid).collect();
        let position = |(position, row): (usize, &RowDigest)| (Arc::clone(&row.uuid), position);
        self.positions = self.rows.iter().enumerate().map(position).collect();
        missing
    }
}

impl Catalog {
    /// Returns the differences between the table and `digests`, and updates `digests`.
    ///
    /// Only values that affect deliveries are compared. A caller that cannot apply the change of a row must
    /// [invalidate](RowDigests::invalidate) it.
    ///
    /// # Errors
    /// The file cannot be read, or a newer program wrote the extension table. In that case `digests` becomes empty, and the next
    /// call returns all rows.
    pub fn changes(&mut self, digests: &mut RowDigests) -> Result<Changes, Error> {
        let (mut changes, mut index) = (Changes::default(), 0);
        let is_first = digests.rows.is_empty();
        digests.reads += 1;
        let read = if is_first {
            self.each_row(Selection::All, "", [], |row| {
                take(row, &self.keys, (index, digest(row)?), digests, &mut changes)?;
                index += 1;
                Ok(())
            })
        } else {
            self.take_different(digests, &mut changes)
        };
        if let Err(error) = read {
            *digests = RowDigests::default();
            return Err(error);
        }
        changes.missing = digests.remove_missing(changes.usable);
        Ok(changes)
    }

    /// Reads all columns only of rows that differ. Both statements read the state in which the outer one began.
    fn take_different(&self, digests: &mut RowDigests, changes: &mut Changes) -> Result<(), Error> {
        let mut index = 0;
        let select_by_rowid = self.select_by_rowid()?;
        self.each_row(Selection::Compared, "", [], |row| {
            let digest = digest(row)?;
            if digests.is_unchanged(index, row.get_ref(0)?, digest) {
                changes.usable += 1;
            } else {
                let rowid: i64 = row.get(RawRow::ROWID)?;
                let mut statement = self.connection.prepare_cached(&select_by_rowid)?;
                statement
                    .query_row([rowid], |row| take(row, &self.keys, (index, digest), digests, changes))?;
            }
            index += 1;
            Ok(())
        })
    }
}

/// Validates a row that differs and adds it to the changes.
fn take(
    row: &rusqlite::Row<'_>,
    keys: &Keys,
    (index, digest): (usize, u64),
    digests: &mut RowDigests,
    changes: &mut Changes,
) -> rusqlite::Result<()> {
    let raw = RawRow::read(row, keys)?;
    let validated = if index < MAX_SUBSCRIPTIONS { validate(&raw) } else { Err(TOO_MANY) };
    match validated {
        Ok(stored) if digests.upsert(&stored, digest) => {
            changes.usable += 1;
            changes.subscriptions.push(stored);
        }
        Ok(_) => changes.problems.push(RowProblem::new(&raw, &DUPLICATE)),
        Err(problem) => changes.problems.push(RowProblem::new(&raw, &problem)),
    }
    Ok(())
}

/// The indexes in [`COLUMNS`] of the columns that are not compared because they do not affect deliveries.
pub(super) const UNCOMPARED: [usize; 5] = [7, 8, 9, 11, 12];
/// The index of the only column of the extension table that is not compared, which follows DECNET's columns and `enabled IS 1`.
const DEFERRED_UNTIL: usize = COLUMNS.len() + 1 + 5;

/// Returns the digest of the compared columns. Two different rows have the same digest with a probability of 2^-64.
fn digest(row: &rusqlite::Row<'_>) -> rusqlite::Result<u64> {
    let mut hasher = FxHasher::default();
    let is_compared = |index: &usize| !UNCOMPARED.contains(index) && *index != DEFERRED_UNTIL;
    for index in (0..row.as_ref().column_count()).filter(is_compared) {
        add(row.get_ref(index)?, &mut hasher);
    }
    Ok(hasher.finish())
}

fn add(value: ValueRef<'_>, hasher: &mut FxHasher) {
    let mut begin = |kind: usize, len: usize| hasher.write_usize(len << 3 | kind);
    match value {
        ValueRef::Null => begin(0, 0),
        ValueRef::Integer(value) => {
            begin(1, 0);
            hasher.write_i64(value);
        }
        ValueRef::Real(value) => {
            begin(2, 0);
            hasher.write_u64(value.to_bits());
        }
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            begin(if matches!(value, ValueRef::Text(_)) { 3 } else { 4 }, bytes.len());
            hasher.write(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::extension_table;
    use super::*;

    #[test]
    fn uncompared_columns_do_not_affect_deliveries() {
        let all: Vec<&str> = COLUMNS
            .into_iter()
            .chain(["enabled IS 1"])
            .chain(extension_table::COLUMNS.map(|(name, ..)| name))
            .collect();
        let uncompared = UNCOMPARED.map(|index| all[index]);
        let expected = ["last_success_at", "last_failure_at", "last_error", "created_at", "updated_at"];
        assert_eq!((uncompared, all[DEFERRED_UNTIL]), (expected, "deferred_until"));
    }
}
