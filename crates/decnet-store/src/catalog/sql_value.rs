//! Values of any type, since SQLite does not enforce the types of columns.

use decnet_core::limits::MAX_CATALOG_VALUE_BYTES;
use decnet_core::time::UnixMicros;
use rusqlite::types::{FromSql, FromSqlResult, ValueRef};

/// A value as SQLite returned it. Does not implement `Debug` because it may be a secret.
#[derive(Clone, PartialEq)]
pub(super) enum SqlValue {
    Null,
    Integer(i64),
    Real(f64),
    Text(Box<str>),
    /// Text that is not valid UTF-8, with replacement characters.
    InvalidText(Box<str>),
    /// A blob, or a value longer than [`MAX_CATALOG_VALUE_BYTES`].
    Bytes,
}

impl FromSql for SqlValue {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(value) => Self::Integer(value),
            ValueRef::Real(value) => Self::Real(value),
            ValueRef::Blob(_) => Self::Bytes,
            ValueRef::Text(bytes) => match str::from_utf8(bytes) {
                Ok(text) => Self::Text(text.into()),
                Err(_) => Self::InvalidText(String::from_utf8_lossy(bytes).into()),
            },
        })
    }
}

impl SqlValue {
    /// Returns the text.
    ///
    /// # Errors
    /// The reason why the value is not text, to follow the column's name.
    pub(super) fn text(&self) -> Result<&str, &'static str> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Null => Err("is NULL"),
            Self::Integer(_) | Self::Real(_) => Err("is a number"),
            Self::InvalidText(_) => Err("is not valid UTF-8"),
            Self::Bytes => Err("is a blob or too long"),
        }
    }

    /// Returns the value as a counter, and whether it is outside the range of a counter or not a number.
    pub(super) fn counter(&self) -> (u32, bool) {
        match self {
            Self::Integer(value) => u32::try_from(*value)
                .map_or_else(|_| (if *value < 0 { 0 } else { u32::MAX }, true), |value| (value, false)),
            _ => (0, true),
        }
    }

    /// Returns the value as a time, and whether it is invalid. NULL is valid and has no time.
    pub(super) fn time(&self) -> (Option<UnixMicros>, bool) {
        match self {
            Self::Null => (None, false),
            Self::Text(text) => {
                let at = UnixMicros::from_sqlite(text);
                (at, at.is_none())
            }
            _ => (None, true),
        }
    }

    /// Returns the value for display: control characters are escaped, and it is truncated to `max` characters.
    pub(super) fn display(&self, max: usize) -> String {
        match self {
            Self::Null => "(null)".to_owned(),
            Self::Integer(value) => value.to_string(),
            Self::Real(value) => value.to_string(),
            Self::Text(text) | Self::InvalidText(text) => display(text, max),
            Self::Bytes => "(bytes)".to_owned(),
        }
    }
}

/// Returns the SQL that reads a column. It never loads a value above the limit, since `octet_length` reads only the header.
pub(super) fn bounded(table: &str, column: &str) -> String {
    format!(
        "CASE WHEN octet_length({table}.{column}) > {MAX_CATALOG_VALUE_BYTES} THEN zeroblob(0) ELSE {table}.{column} END"
    )
}

fn display(text: &str, max: usize) -> String {
    let mut displayed = String::new();
    for (index, c) in text.chars().enumerate() {
        if index == max {
            displayed.push('…');
            break;
        }
        if c.is_control() { displayed.extend(c.escape_default()) } else { displayed.push(c) }
    }
    displayed
}
