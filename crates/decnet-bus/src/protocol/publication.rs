//! The body of a `PUB`. Two of its fields are used; they are relayed verbatim.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::json::{JsonError, as_f64, check_body};

/// The type and payload of a `PUB` as JSON texts, with DECNET's defaults for missing or empty values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publication<'a> {
    /// The payload: any JSON but null, usually an object.
    pub payload: &'a str,
    /// The type: any JSON but null, usually a string.
    pub kind: &'a str,
}

/// The reason why the body of a `PUB` is invalid. The server closes the connection.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The body is not UTF-8.
    #[error("the body is not UTF-8")]
    NotUtf8,
    /// The body is not a JSON object that every reader can parse.
    #[error("the body is not a JSON object: {0}")]
    Json(#[from] JsonError),
}

impl<'a> Publication<'a> {
    /// Parses a body. An empty body counts as `{}`. The last value of a repeated key counts.
    ///
    /// # Errors
    /// The body is not a JSON object, see [`BodyError`].
    pub fn parse(body: &'a [u8]) -> Result<Self, BodyError> {
        if body.is_empty() {
            return Ok(Self { payload: "{}", kind: "\"\"" });
        }
        let text = std::str::from_utf8(body).map_err(|_| BodyError::NotUtf8)?;
        let mut json = serde_json::Deserializer::from_str(text);
        let fields = json.deserialize_map(Fields::default()).map_err(JsonError::Syntax)?;
        json.end().map_err(JsonError::Syntax)?;
        check_body(body)?;
        let truthy = |value: Option<&'a RawValue>| value.map(RawValue::get).filter(|json| is_truthy(json));
        Ok(Self {
            payload: truthy(fields.payload).unwrap_or("{}"),
            kind: truthy(fields.kind).unwrap_or("\"\""),
        })
    }
}

/// Returns whether a JSON text without surrounding white space is true in Python. Like DECNET's, the bus replaces every
/// other value by the default: `null`, `false`, `0`, `""`, `[]`.
#[must_use]
pub fn is_truthy(json: &str) -> bool {
    match json.as_bytes() {
        b"null" | b"false" | b"\"\"" => false,
        number @ [b'-' | b'0'..=b'9', ..] => as_f64(number) != 0.0,
        [b'[' | b'{', inner @ .., _] => !inner.iter().all(u8::is_ascii_whitespace),
        _ => true,
    }
}

/// The two fields, unparsed. Deserialized by hand, since serde's derive rejects repeated keys.
#[derive(Default)]
struct Fields<'a> {
    payload: Option<&'a RawValue>,
    kind: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Key {
    Payload,
    Type,
    #[serde(other)]
    Other,
}

impl<'de> Visitor<'de> for Fields<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut access: A) -> Result<Self, A::Error> {
        while let Some(key) = access.next_key()? {
            match key {
                Key::Payload => self.payload = Some(access.next_value()?),
                Key::Type => self.kind = Some(access.next_value()?),
                Key::Other => drop(access.next_value::<IgnoredAny>()?),
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: &str) -> (&str, &str) {
        let Publication { payload, kind } = Publication::parse(body.as_bytes()).unwrap();
        (payload, kind)
    }

    #[test]
    fn payload_and_type_are_copied_verbatim() {
        let body = r#"{"v":1,"id":"x","topic":"t","type":"k\u00e9","ts":1.5,"payload":{"a": [1.50, "\ud83d\ude00"]}}"#;
        assert_eq!(parsed(body), (r#"{"a": [1.50, "\ud83d\ude00"]}"#, r#""k\u00e9""#));
        assert_eq!(parsed(r#" {"payload":"text" , "type":7} "#), ("\"text\"", "7"));
        assert_eq!(parsed(r#"{"payl\u006fad":[1]}"#), ("[1]", "\"\""));
    }

    #[test]
    fn empty_values_become_defaults() {
        for value in ["null", "false", "0", "-0", "0.0", "-0e5", "1e-999", "\"\"", "[ ]", "{\n}"] {
            let body = format!(r#"{{"payload":{value},"type":{value}}}"#);
            assert_eq!(parsed(&body), ("{}", "\"\""), "{value}");
        }
        assert_eq!(parsed(""), ("{}", "\"\""));
        assert_eq!(parsed("{}"), ("{}", "\"\""));
    }

    #[test]
    fn the_last_value_of_a_repeated_key_counts() {
        assert_eq!(parsed(r#"{"payload":1,"payload":2,"type":"a","type":null}"#), ("2", "\"\""));
    }

    #[test]
    fn bodies_that_are_not_objects_are_rejected() {
        let bodies: [&[u8]; 11] = [
            b"[]",
            b"\"text\"",
            b"null",
            b"{",
            b"{}x",
            b"{\"payload\":NaN}",
            b"{\"other\":NaN}",
            b"{\"other\":\"\xff\"}",
            b"{\"other\":\"\\ud800\"}",
            b"{\"payload\":{\"a\":\"\\udc00\"}}",
            b"{\"payload\":1e999}",
        ];
        for body in bodies {
            assert!(Publication::parse(body).is_err(), "{}", String::from_utf8_lossy(body));
        }
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(body: Vec<u8>, text in r#"\{"(payload|type)":[\[\]{}",:\\u0-9dD e.-]{0,30}\}"#) {
            let _ = Publication::parse(&body);
            let _ = Publication::parse(text.as_bytes());
        }
    }
}
