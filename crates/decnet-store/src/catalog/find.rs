//! Listing the rows, and finding the one that an operator means.

use decnet_core::limits::MAX_NAME_CHARS;
use decnet_core::subscription::is_same_name;
use rusqlite::types::Value;

use super::edit::owner;
use super::error::Error;
use super::judge::{Stored, judge};
use super::load::RawRow;
use super::open::Catalog;
use super::row::Row;

/// Shortest beginning of a UUID that names a subscription, in characters.
const MIN_PREFIX_CHARS: usize = 8;
/// Names that are offered for one that does not exist, and rows named by an ambiguity.
const MAX_OFFERED: usize = 5;

impl Catalog {
    /// Every row, bad ones too, in the order of the table.
    ///
    /// # Errors
    /// Only if the file cannot be read at all, or our tables in it are newer than this program.
    pub fn rows(&self) -> Result<Vec<Row>, Error> {
        Ok(self.judged_rows()?.iter().map(|(raw, judged)| Row::new(raw, judged)).collect())
    }

    /// Returns the UUID of the row with that name, or with one that reads the same; a UUID that is not a text counts as an
    /// empty one.
    ///
    /// # Errors
    /// Only if the file cannot be read.
    pub fn owner(&self, name: &str) -> Result<Option<String>, Error> {
        let owner = owner(&self.connection, name).map_err(self.explain())?;
        Ok(owner.map(|uuid| if let Value::Text(uuid) = uuid { uuid } else { String::new() }))
    }

    /// The row with exactly that UUID, and what can be dispatched to if it is sound; one look into an index.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub fn get(&self, uuid: &str) -> Result<Option<(Row, Option<Stored>)>, Error> {
        let mut found = None;
        self.each_row_where("WHERE s.uuid = ?1", [uuid], |row| {
            let raw = RawRow::read(row)?;
            let judged = judge(&raw);
            found = Some((Row::new(&raw, &judged), judged.ok()));
            Ok(())
        })?;
        Ok(found)
    }

    /// Returns the row with exactly that UUID, else with that name, without judging any other row.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub fn called(&self, name_or_uuid: &str) -> Result<Option<Row>, Error> {
        let mut found = self.get(name_or_uuid)?;
        if found.is_none()
            && let Some(uuid) = self.owner(name_or_uuid)?
        {
            found = self.get(&uuid)?;
        }
        Ok(found.map(|(row, _)| row))
    }

    /// Up to `limit` rows in the order of the table, each with its place; the first that comes after a place.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub fn page(&self, after: i64, limit: u32) -> Result<Vec<(i64, Row)>, Error> {
        let mut page = Vec::new();
        let places = "WHERE s.rowid IN (SELECT rowid FROM webhook_subscriptions WHERE rowid > ?1 \
                      ORDER BY rowid LIMIT ?2) ORDER BY s.rowid";
        self.each_row_where(places, (after, limit), |row| {
            let raw = RawRow::read(row)?;
            page.push((row.get(RawRow::PLACE)?, Row::new(&raw, &judge(&raw))));
            Ok(())
        })?;
        Ok(page)
    }

    /// Returns the row with that UUID, else that name, else one that reads the same, else the only one whose UUID begins so
    /// (at least 8 characters).
    ///
    /// # Errors
    /// None, with the names that look like it, or several.
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
        Err(Error::NotFound { wanted: name_or_uuid.to_owned(), near: near(name_or_uuid, &rows) })
    }
}

fn ambiguous(wanted: &str, several: &[&Row]) -> Error {
    let shown = several.iter().take(MAX_OFFERED).map(|row| format!("{} ({})", row.name, row.uuid));
    Error::Ambiguous { wanted: wanted.to_owned(), among: shown.collect() }
}

/// The names that a slip of the finger may have missed, nearest first; none for what is too long to be a name.
fn near(wanted: &str, rows: &[Row]) -> Vec<String> {
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
    names.into_iter().take(MAX_OFFERED).map(|(_, name)| name.to_owned()).collect()
}

/// Insertions, deletions and replacements from one text to the other (Levenshtein); none if one holds the other.
fn distance(a: &str, b: &str) -> usize {
    if !a.is_empty() && !b.is_empty() && (a.contains(b) || b.contains(a)) {
        return 0;
    }
    let b: Vec<char> = b.chars().collect();
    let mut costs: Vec<usize> = (0..=b.len()).collect();
    for (row, from) in a.chars().enumerate() {
        let mut diagonal = costs[0];
        costs[0] = row + 1;
        for (column, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = costs[column + 1];
            costs[column + 1] = replaced.min(diagonal + 1).min(costs[column] + 1);
        }
    }
    costs[b.len()]
}
