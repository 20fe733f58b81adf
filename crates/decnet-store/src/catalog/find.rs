//! Listing rows, and finding rows by name or UUID.

use decnet_core::limits::{MAX_NAME_CHARS, MAX_SUBSCRIPTIONS};
use decnet_core::subscription::is_same_name;
use rusqlite::types::Value;
use rustc_hash::FxHashSet;

use super::edit::uuid_by_name;
use super::error::Error;
use super::load::{DUPLICATE, RawRow, Selection, TOO_MANY};
use super::open::Catalog;
use super::row::Row;
use super::validate::{StoredSubscription, validate};

/// Minimum length of a UUID prefix that identifies a subscription, in characters.
const MIN_PREFIX_CHARS: usize = 8;
/// Maximum number of names in an error.
const MAX_CANDIDATES: usize = 5;

impl Catalog {
    /// Returns all rows, valid or not, in table order.
    ///
    /// # Errors
    /// The file cannot be read, or a newer program wrote the extension table.
    pub fn rows(&self) -> Result<Vec<Row>, Error> {
        let (mut uuids, mut rows) = (FxHashSet::default(), Vec::new());
        self.each_row(Selection::All, "", [], |row| {
            let raw = RawRow::read(row, &self.keys)?;
            let validated = match validate(&raw) {
                _ if rows.len() >= MAX_SUBSCRIPTIONS => Err(TOO_MANY),
                Ok(stored) if !uuids.insert(stored.subscription.uuid.clone()) => Err(DUPLICATE),
                validated => validated,
            };
            rows.push(Row::new(&raw, &validated));
            Ok(())
        })?;
        Ok(rows)
    }

    /// Returns the UUID of the row with this name or an equivalent one ([`is_same_name`]); empty if the UUID is not text.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn uuid_by_name(&self, name: &str) -> Result<Option<String>, Error> {
        let uuid = uuid_by_name(&self.connection, name).map_err(self.sqlite_error())?;
        Ok(uuid.map(|uuid| if let Value::Text(uuid) = uuid { uuid } else { String::new() }))
    }

    /// Returns the row with this UUID, and the subscription if the row is valid. Uses the index.
    ///
    /// # Errors
    /// See [`Self::rows`].
    pub fn get(&self, uuid: &str) -> Result<Option<(Row, Option<StoredSubscription>)>, Error> {
        let mut found = None;
        self.each_row(Selection::All, "WHERE s.uuid = ?1", [uuid], |row| {
            let raw = RawRow::read(row, &self.keys)?;
            let validated = validate(&raw);
            found = Some((Row::new(&raw, &validated), validated.ok()));
            Ok(())
        })?;
        Ok(found)
    }

    /// Returns the row with this UUID, or otherwise the row with this name. Reads only matching rows.
    ///
    /// # Errors
    /// See [`Self::rows`].
    pub fn find_exact(&self, name_or_uuid: &str) -> Result<Option<Row>, Error> {
        let mut found = self.get(name_or_uuid)?;
        if found.is_none()
            && let Some(uuid) = self.uuid_by_name(name_or_uuid)?
        {
            found = self.get(&uuid)?;
        }
        Ok(found.map(|(row, _)| row))
    }

    /// Returns up to `limit` rows after the `rowid` `after`, in table order, each with its `rowid`.
    ///
    /// # Errors
    /// See [`Self::rows`].
    pub fn page(&self, after: i64, limit: u32) -> Result<Vec<(i64, Row)>, Error> {
        let mut page = Vec::new();
        let condition = "WHERE s.rowid IN (SELECT rowid FROM webhook_subscriptions WHERE rowid > ?1 \
                      ORDER BY rowid LIMIT ?2) ORDER BY s.rowid";
        self.each_row(Selection::All, condition, (after, limit), |row| {
            let raw = RawRow::read(row, &self.keys)?;
            page.push((row.get(RawRow::ROWID)?, Row::new(&raw, &validate(&raw))));
            Ok(())
        })?;
        Ok(page)
    }

    /// Returns the row with this UUID, or otherwise with this name, an equivalent name, or this UUID prefix (at least 8
    /// characters).
    ///
    /// # Errors
    /// [`Error::NotFound`] with similar names, [`Error::Ambiguous`], and the errors of [`Self::rows`].
    pub fn find(&self, name_or_uuid: &str) -> Result<Row, Error> {
        let rows = self.rows()?;
        let is_prefix = name_or_uuid.chars().count() >= MIN_PREFIX_CHARS;
        let tests: [&dyn Fn(&Row) -> bool; 4] = [
            &|row| row.uuid == name_or_uuid,
            &|row| row.name == name_or_uuid,
            &|row| is_same_name(&row.name, name_or_uuid),
            &|row| is_prefix && row.uuid.starts_with(name_or_uuid),
        ];
        for test in tests {
            let found: Vec<&Row> = rows.iter().filter(|row| test(row)).collect();
            match found.as_slice() {
                [] => {}
                [only] => return Ok((*only).clone()),
                several => return Err(ambiguous(name_or_uuid, several)),
            }
        }
        Err(Error::NotFound { wanted: name_or_uuid.to_owned(), similar: similar(name_or_uuid, &rows) })
    }
}

fn ambiguous(wanted: &str, several: &[&Row]) -> Error {
    let candidates = several.iter().take(MAX_CANDIDATES).map(|row| format!("{} ({})", row.name, row.uuid));
    Error::Ambiguous { wanted: wanted.to_owned(), candidates: candidates.collect() }
}

/// Returns the names that may have been mistyped, most similar first; none if `wanted` is too long for a name.
fn similar(wanted: &str, rows: &[Row]) -> Vec<String> {
    if wanted.chars().count() > MAX_NAME_CHARS {
        return Vec::new();
    }
    let wanted = wanted.to_lowercase();
    let mut names: Vec<(usize, &str)> = rows
        .iter()
        .map(|row| (distance(&wanted, &row.name.to_lowercase()), row.name.as_str()))
        .filter(|(distance, name)| *distance <= name.chars().count() / 3 + 1)
        .collect();
    names.sort_unstable();
    names.into_iter().take(MAX_CANDIDATES).map(|(_, name)| name.to_owned()).collect()
}

/// Returns the Levenshtein distance between two texts; 0 if one contains the other.
fn distance(a: &str, b: &str) -> usize {
    if !a.is_empty() && !b.is_empty() && (a.contains(b) || b.contains(a)) {
        return 0;
    }
    strsim::levenshtein(a, b)
}
