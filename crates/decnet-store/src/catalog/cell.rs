//! One value of one row, whatever it is: SQLite's columns do not bind their values to a type.

use decnet_core::limits::MAX_CATALOG_VALUE_BYTES;
use decnet_core::time::UnixMicros;
use rusqlite::types::ValueRef;

/// A value as it was found. Has no `Debug`: it may be a secret.
#[derive(Clone)]
pub(super) enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(Box<str>),
    /// Text with bytes that are no UTF-8, each replaced for showing.
    Broken(Box<str>),
    /// Bytes, or a value longer than [`MAX_CATALOG_VALUE_BYTES`].
    Bytes,
}

/// Why a value is no text.
pub(super) type NoText = &'static str;

impl Cell {
    /// Takes a value out of SQLite's hands.
    pub(super) fn read(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(value) => Self::Integer(value),
            ValueRef::Real(value) => Self::Real(value),
            ValueRef::Blob(_) => Self::Bytes,
            ValueRef::Text(bytes) => match str::from_utf8(bytes) {
                Ok(text) => Self::Text(text.into()),
                Err(_) => Self::Broken(String::from_utf8_lossy(bytes).into()),
            },
        }
    }

    /// The text, or why it is none.
    pub(super) fn text(&self) -> Result<&str, NoText> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Null => Err("is NULL"),
            Self::Integer(_) | Self::Real(_) => Err("is a number"),
            Self::Broken(_) => Err("is no valid UTF-8"),
            Self::Bytes => Err("holds bytes, or more text than can be"),
        }
    }

    /// A counter: the value, and whether it had to be mended.
    pub(super) fn counter(&self) -> (u32, bool) {
        match self {
            Self::Integer(value) => u32::try_from(*value)
                .map_or_else(|_| (if *value < 0 { 0 } else { u32::MAX }, true), |value| (value, false)),
            _ => (0, true),
        }
    }

    /// A time: nothing for NULL and for what is no time, the latter with a complaint.
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

    /// For people and logs: without control characters, at most `max` characters.
    pub(super) fn shown(&self, max: usize) -> String {
        match self {
            Self::Null => "(null)".to_owned(),
            Self::Integer(value) => value.to_string(),
            Self::Real(value) => value.to_string(),
            Self::Text(text) | Self::Broken(text) => shown(text, max),
            Self::Bytes => "(bytes)".to_owned(),
        }
    }
}

/// The SQL that reads a column without ever loading a value beyond the bound: `octet_length` needs only its
/// header.
pub(super) fn bounded(table: &str, column: &str) -> String {
    format!(
        "CASE WHEN octet_length({table}.{column}) > {MAX_CATALOG_VALUE_BYTES} THEN zeroblob(0) ELSE {table}.{column} END"
    )
}

fn shown(text: &str, max: usize) -> String {
    let mut shown = String::new();
    for (index, c) in text.chars().enumerate() {
        if index == max {
            shown.push('…');
            break;
        }
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}
