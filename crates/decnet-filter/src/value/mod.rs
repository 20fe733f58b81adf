//! The values of expressions. Those of the payload borrow from it.

mod arithmetic;
mod compare;

use std::fmt;
use std::sync::Arc;

use decnet_core::event::Json;

pub(crate) use self::arithmetic::{calculate, negate};
pub(crate) use self::compare::{equal, order};

/// A value. Cloning never copies text or elements.
#[derive(Debug, Clone)]
pub(crate) enum Value<'v> {
    Null,
    Bool(bool),
    Int(i128),
    Double(f64),
    Text(Text<'v>),
    List(List<'v>),
    Map(Map<'v>),
}

#[derive(Debug, Clone)]
pub(crate) enum Text<'v> {
    Borrowed(&'v str),
    Shared(Arc<str>),
}

#[derive(Debug, Clone)]
pub(crate) enum List<'v> {
    Json(&'v [Json<'v>]),
    Shared(Arc<[Value<'v>]>),
}

/// The fields of an object. Sorted by key, without duplicates.
#[derive(Debug, Clone)]
pub(crate) enum Map<'v> {
    Json(&'v [(std::borrow::Cow<'v, str>, Json<'v>)]),
    Shared(Arc<[(Arc<str>, Value<'v>)]>),
}

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool,
    Int,
    Double,
    Text,
    List,
    Map,
}

impl<'v> Value<'v> {
    /// Converts a JSON value. An integer that exceeds 128 bits is rounded to the nearest double.
    pub(crate) fn of(json: &'v Json<'v>) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Integer(digits) => match digits.parse() {
                Ok(value) => Self::Int(value),
                Err(_) => Self::Double(digits.parse().unwrap_or(f64::INFINITY)),
            },
            Json::Float(value) => Self::Double(*value),
            Json::Text(text) => Self::Text(Text::Borrowed(text)),
            Json::Array(items) => Self::List(List::Json(items)),
            Json::Object(fields) => Self::Map(Map::Json(fields)),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Bool,
            Self::Int(_) => Kind::Int,
            Self::Double(_) => Kind::Double,
            Self::Text(_) => Kind::Text,
            Self::List(_) => Kind::List,
            Self::Map(_) => Kind::Map,
        }
    }

    pub(crate) fn shared(text: impl Into<Arc<str>>) -> Self {
        Self::Text(Text::Shared(text.into()))
    }
}

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl<'v> List<'v> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Json(items) => items.len(),
            Self::Shared(items) => items.len(),
        }
    }

    pub(crate) fn get(&self, index: usize) -> Option<Value<'v>> {
        match self {
            Self::Json(items) => items.get(index).map(Value::of),
            Self::Shared(items) => items.get(index).cloned(),
        }
    }
}

impl<'v> Map<'v> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Json(fields) => fields.len(),
            Self::Shared(fields) => fields.len(),
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<Value<'v>> {
        match self {
            Self::Json(fields) => {
                let found = fields.binary_search_by(|(name, _)| name.as_ref().cmp(key)).ok()?;
                Some(Value::of(&fields[found].1))
            }
            Self::Shared(fields) => {
                let found = fields.binary_search_by(|(name, _)| name.as_ref().cmp(key)).ok()?;
                Some(fields[found].1.clone())
            }
        }
    }

    /// Returns the key and the value at a position.
    pub(crate) fn entry(&self, index: usize) -> Option<(Text<'v>, Value<'v>)> {
        match self {
            Self::Json(fields) => {
                fields.get(index).map(|(key, value)| (Text::Borrowed(key), Value::of(value)))
            }
            Self::Shared(fields) => {
                fields.get(index).map(|(key, value)| (Text::Shared(Arc::clone(key)), value.clone()))
            }
        }
    }
}

impl Kind {
    pub(crate) fn is_numeric(self) -> bool {
        matches!(self, Self::Int | Self::Double)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool => "a bool",
            Self::Int => "an int",
            Self::Double => "a double",
            Self::Text => "a string",
            Self::List => "a list",
            Self::Map => "a map",
        })
    }
}
