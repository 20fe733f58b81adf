//! What differs in the table since it was last read.
//!
//! Nothing in DECNET's table tells which rows were changed: `updated_at` is written by whoever remembers to, and a
//! trigger would alter the table. So all of it is read again, but a row is only digested; what has the digest that
//! it had before is neither copied nor judged.

use std::hash::Hasher as _;
use std::sync::Arc;

use decnet_core::limits::MAX_SUBSCRIPTIONS;
use rusqlite::types::ValueRef;
use rustc_hash::{FxHashMap, FxHasher};

use super::error::Error;
use super::judge::{RowProblem, Stored, judge};
use super::load::{REPEATED, RawRow, TOO_MANY};
use super::open::Catalog;
use super::schema::COLUMNS;

/// The rows that were read before.
#[derive(Debug, Default)]
pub struct Seen {
    /// In the order in which they were found. That is the table's order, but for what was changed since; so a row is
    /// looked for at its place first, which at a hundred thousand rows is most of the work of finding it.
    rows: Vec<Sight>,
    places: FxHashMap<Arc<str>, usize>,
    reading: u64,
}

#[derive(Debug)]
struct Sight {
    uuid: Arc<str>,
    /// None for a row that is to be reported whatever it is.
    digest: Option<u64>,
    /// Number of the reading that found it last.
    reading: u64,
}

/// What is to be done so that the subscriptions are as the table says.
#[derive(Debug, Default)]
pub struct Changes {
    /// The rows that can be dispatched to and differ from what was seen, in the order of the table. Rows with
    /// warnings are always among them.
    pub changed: Vec<Stored>,
    /// The rows that could be dispatched to and cannot any more, or are gone.
    pub missing: Vec<Arc<str>>,
    /// All rows that cannot be dispatched to, and why.
    pub problems: Vec<RowProblem>,
    /// How many can be dispatched to.
    pub usable: usize,
}

impl Seen {
    /// Reports this row at the next reading, whether it differs or not.
    pub fn forget(&mut self, uuid: &str) {
        if let Some(place) = self.places.get(uuid) {
            self.rows[*place].digest = None;
        }
    }

    /// Is this row, number `index` of this reading, as it was? Not the second time that it is found.
    fn is_same(&mut self, index: usize, uuid: ValueRef<'_>, digest: u64) -> bool {
        let is_there = self.rows.get(index).is_some_and(|sight| sight.digest == Some(digest));
        let place = || uuid.as_str().ok().and_then(|uuid| self.places.get(uuid).copied());
        let Some(place) = is_there.then_some(index).or_else(place) else { return false };
        let sight = &mut self.rows[place];
        let is_same = sight.digest == Some(digest) && sight.reading != self.reading;
        if is_same {
            sight.reading = self.reading;
        }
        is_same
    }

    /// Notes a row that can be dispatched to; false if this reading has found its uuid before.
    fn note(&mut self, stored: &Stored, digest: u64) -> bool {
        let (uuid, reading) = (&*stored.subscription.uuid, self.reading);
        let digest = stored.warnings.is_empty().then_some(digest);
        let Some(place) = self.places.get(uuid) else {
            let uuid: Arc<str> = uuid.into();
            self.places.insert(Arc::clone(&uuid), self.rows.len());
            self.rows.push(Sight { uuid, digest, reading });
            return true;
        };
        let sight = &mut self.rows[*place];
        if sight.reading == reading {
            return false;
        }
        (sight.digest, sight.reading) = (digest, reading);
        true
    }

    /// Forgets what this reading has not found.
    fn missing(&mut self, found: usize) -> Vec<Arc<str>> {
        if found == self.rows.len() {
            return Vec::new();
        }
        let reading = self.reading;
        let missing =
            self.rows.extract_if(.., |sight| sight.reading != reading).map(|sight| sight.uuid).collect();
        let place = |(place, sight): (usize, &Sight)| (Arc::clone(&sight.uuid), place);
        self.places = self.rows.iter().enumerate().map(place).collect();
        missing
    }
}

impl Catalog {
    /// Reads the table for what differs from what was `seen` there, and notes it.
    ///
    /// A row differs if anything in it does that matters to a delivery. Whoever cannot carry out a change must
    /// [forget](Seen::forget) the row.
    ///
    /// # Errors
    /// Only if the file cannot be read at all, or our tables in it are newer than this program. Then nothing counts
    /// as seen.
    pub fn changes(&mut self, seen: &mut Seen) -> Result<Changes, Error> {
        let (mut changes, mut index) = (Changes::default(), 0);
        let is_first = seen.rows.is_empty();
        seen.reading += 1;
        let read = if is_first {
            self.each_row(|row| {
                take(row, index, digest(row)?, seen, &mut changes)?;
                index += 1;
                Ok(())
            })
        } else {
            self.take_different(seen, &mut changes)
        };
        if let Err(error) = read {
            *seen = Seen::default();
            return Err(error);
        }
        changes.missing = seen.missing(changes.usable);
        Ok(changes)
    }

    /// Reads whole only the rows that differ. Both statements see the table as it was when the first one began.
    fn take_different(&self, seen: &mut Seen, changes: &mut Changes) -> Result<(), Error> {
        let mut index = 0;
        let whole_row = self.select_by_place()?;
        self.each_row_without_records(|row| {
            let digest = digest(row)?;
            if seen.is_same(index, row.get_ref(0)?, digest) {
                changes.usable += 1;
            } else {
                let place: i64 = row.get(RawRow::PLACE)?;
                let mut whole = self.connection.prepare_cached(&whole_row)?;
                whole.query_row([place], |row| take(row, index, digest, seen, changes))?;
            }
            index += 1;
            Ok(())
        })
    }
}

/// Takes a row that differs.
fn take(
    row: &rusqlite::Row<'_>,
    index: usize,
    digest: u64,
    seen: &mut Seen,
    changes: &mut Changes,
) -> rusqlite::Result<()> {
    let raw = RawRow::read(row)?;
    let judged = if index < MAX_SUBSCRIPTIONS { judge(&raw) } else { Err(TOO_MANY) };
    match judged {
        Ok(stored) if seen.note(&stored, digest) => {
            changes.usable += 1;
            changes.changed.push(stored);
        }
        Ok(_) => changes.problems.push(RowProblem::new(&raw, &REPEATED)),
        Err(problem) => changes.problems.push(RowProblem::new(&raw, &problem)),
    }
    Ok(())
}

/// Columns in which the results of deliveries are written down: what stands there changes no delivery, so nobody
/// has to read the row again for it.
pub(super) const RECORDS: [usize; 5] = [7, 8, 9, 11, 12];
/// The same of our columns, which follow DECNET's and the flag `enabled IS 1`.
const DEFERRED_UNTIL: usize = COLUMNS.len() + 1 + 5;

/// Rows with the same digest are the same, but for one in 2^64 that is not.
fn digest(row: &rusqlite::Row<'_>) -> rusqlite::Result<u64> {
    let mut hasher = FxHasher::default();
    let is_record = |index: &usize| RECORDS.contains(index) || *index == DEFERRED_UNTIL;
    for index in (0..row.as_ref().column_count()).filter(|index| !is_record(index)) {
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
        ValueRef::Text(bytes) => {
            begin(3, bytes.len());
            hasher.write(bytes);
        }
        ValueRef::Blob(bytes) => {
            begin(4, bytes.len());
            hasher.write(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::side;
    use super::*;

    #[test]
    fn records_are_what_a_delivery_writes() {
        let all: Vec<&str> = COLUMNS.into_iter().chain(["enabled IS 1"]).chain(side::COLUMNS).collect();
        let named = RECORDS.map(|index| all[index]);
        let records = ["last_success_at", "last_failure_at", "last_error", "created_at", "updated_at"];
        assert_eq!((named, all[DEFERRED_UNTIL]), (records, "deferred_until"));
    }
}
