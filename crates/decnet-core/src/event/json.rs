//! JSON read without copying its texts, with the keys of every object sorted and unique.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::limits::{MAX_JSON_DEPTH, MAX_PAYLOAD_DEPTH};

/// A JSON value that borrows from its text wherever no escape stands in the way.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    /// Sorted by key; of a repeated key the last value.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl Json<'_> {
    pub(super) const EMPTY_OBJECT: Json<'static> = Json::Object(Vec::new());
    pub(super) const EMPTY_TEXT: Json<'static> = Json::Text(Cow::Borrowed(""));

    /// What Python's `or` keeps: DECNET replaces empty payloads and types by defaults.
    pub(super) fn is_truthy(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Unsigned(value) => *value != 0,
            Self::Signed(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Array(items) => !items.is_empty(),
            Self::Object(fields) => !fields.is_empty(),
        }
    }

    pub(super) fn as_f64(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "times far beyond 2^53 seconds are refused later")]
        match self {
            Self::Unsigned(value) => Some(*value as f64),
            Self::Signed(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }
}

/// The value of a key in sorted fields.
pub(super) fn get<'v, 'a>(fields: &'v [(Cow<'a, str>, Json<'a>)], key: &str) -> Option<&'v Json<'a>> {
    fields.binary_search_by(|(name, _)| name.as_ref().cmp(key)).ok().map(|at| &fields[at].1)
}

fn sort_and_keep_last(fields: &mut Vec<(Cow<'_, str>, Json<'_>)>) {
    if fields.is_sorted_by(|a, b| a.0 < b.0) {
        return;
    }
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    fields.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            std::mem::swap(&mut later.1, &mut earlier.1);
        }
        same
    });
}

/// A key, borrowed where it can be.
struct Key<'a>(Cow<'a, str>);

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Owned(text.to_owned())))
    }
}

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// Reads a whole body. The recursion is bounded by [`MAX_JSON_DEPTH`] rather than by serde_json's own, smaller bound.
pub(super) fn read(text: &[u8]) -> Result<Json<'_>, serde_json::Error> {
    read_within(text, Nested(0))
}

/// Reads a payload, which has the object of its body around it.
pub(super) fn read_payload(text: &[u8]) -> Result<Json<'_>, serde_json::Error> {
    read_within(text, Nested(MAX_JSON_DEPTH - MAX_PAYLOAD_DEPTH))
}

fn read_within(text: &[u8], outside: Nested) -> Result<Json<'_>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    deserializer.disable_recursion_limit();
    let value = outside.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

const TOO_DEEP: &str = "nested too deeply: a payload has at most 253 levels";
const _: () = assert!(MAX_PAYLOAD_DEPTH == 253);

/// A value with so many lists and objects around it.
#[derive(Clone, Copy)]
struct Nested(usize);

impl Nested {
    /// A value within this one.
    fn inner<E: Error>(self) -> Result<Self, E> {
        if self.0 < MAX_JSON_DEPTH { Ok(Self(self.0 + 1)) } else { Err(E::custom(TOO_DEEP)) }
    }
}

impl<'de> DeserializeSeed<'de> for Nested {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Unsigned(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Signed(value))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Json::Float(value))
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let (inner, mut items) = (self.inner()?, Vec::new());
        while let Some(item) = access.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let (inner, mut fields) = (self.inner()?, Vec::new());
        while let Some(Key(key)) = access.next_key()? {
            fields.push((key, access.next_value_seed(inner)?));
        }
        sort_and_keep_last(&mut fields);
        Ok(Json::Object(fields))
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Unsigned(value) => serializer.serialize_u64(*value),
            Self::Signed(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Array(items) => serializer.collect_seq(items),
            Self::Object(fields) => serializer.collect_map(fields.iter().map(|(key, value)| (key, value))),
        }
    }
}
