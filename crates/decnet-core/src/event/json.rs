//! A JSON parser whose values borrow from the text, keep integers exact, and have sorted, unique object keys.
//!
//! serde_json turns an integer beyond 64 bits into a float, and `-0` into `-0.0`. Its feature `arbitrary_precision` keeps
//! such numbers, but turns every number in the whole build into a string. This parser keeps the digits of an integer, which
//! are its canonical form (RFC 8259 section 6 does not allow leading zeros).

use std::borrow::Cow;

use crate::limits::{MAX_JSON_DEPTH, MAX_PAYLOAD_DEPTH};

const TOO_DEEP: &str = "nested too deeply (at most 253 levels in a payload)";
const _: () = assert!(MAX_PAYLOAD_DEPTH == 253);

/// The length in bytes below which an integer always fits into an `f64`, whose largest value has 309 digits.
const SAFE_INTEGER_BYTES: usize = 309;

/// A JSON value. Strings without escapes and integers borrow from the text.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// The digits of an integer of any size. `-0` is `0`, as in Python.
    Integer(&'a str),
    /// A number with a fraction or an exponent; finite.
    Float(f64),
    /// A string, without its escapes.
    Text(Cow<'a, str>),
    /// An array.
    Array(Vec<Json<'a>>),
    /// The fields, sorted by key; a repeated key has its last value.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// The reason why a text is not valid or not portable JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at byte {at}")]
pub struct JsonError {
    problem: &'static str,
    /// The offset in the text, in bytes.
    at: usize,
}

impl<'a> Json<'a> {
    pub(super) const EMPTY_OBJECT: Json<'static> = Json::Object(Vec::new());
    pub(super) const EMPTY_TEXT: Json<'static> = Json::Text(Cow::Borrowed(""));

    /// Returns the field of an object; `None` for any other value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        if let Self::Object(fields) = self { get(fields, key) } else { None }
    }

    /// Returns whether the value is true in Python. DECNET replaces false payloads and types with defaults.
    pub(super) fn is_truthy(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Integer(digits) => *digits != "0",
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Array(items) => !items.is_empty(),
            Self::Object(fields) => !fields.is_empty(),
        }
    }

    /// Returns the value of a number, rounded to the nearest `f64`.
    pub(super) fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Integer(digits) => digits.parse().ok(),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// Appends the value to `out` in canonical form: without whitespace, with the shortest floats.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Integer(digits) => out.extend_from_slice(digits.as_bytes()),
            Self::Float(value) => write_scalar(value, out),
            Self::Text(text) => write_scalar(text, out),
            Self::Array(items) => {
                let write = |item: &Json<'_>, out: &mut Vec<u8>| item.write(out);
                write_all(b"[]", items, write, out);
            }
            Self::Object(fields) => {
                let write = |(key, value): &(Cow<'_, str>, Json<'_>), out: &mut Vec<u8>| {
                    write_scalar(key, out);
                    out.push(b':');
                    value.write(out);
                };
                write_all(b"{}", fields, write, out);
            }
        }
    }
}

/// Appends a string or a finite number to `out`, as JSON.
pub(super) fn write_scalar(value: &(impl serde::Serialize + ?Sized), out: &mut Vec<u8>) {
    serde_json::to_writer(out, value)
        .expect("serialising strings and finite numbers into memory does not fail");
}

fn write_all<T>(brackets: &[u8; 2], items: &[T], write: impl Fn(&T, &mut Vec<u8>), out: &mut Vec<u8>) {
    let [open, close] = *brackets;
    out.push(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(close);
}

/// Returns the value of `key` in sorted fields.
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

/// Parses a text with one value.
///
/// # Errors
/// The text is not JSON (RFC 8259) in UTF-8, is nested deeper than [`MAX_JSON_DEPTH`], or has a number outside the range of
/// `f64`.
pub(super) fn parse(text: &[u8]) -> Result<Json<'_>, JsonError> {
    parse_within(text, 0)
}

/// Parses a payload. A payload becomes a field of a body, so its depth limit is one level lower.
///
/// # Errors
/// See [`parse`].
pub(super) fn parse_payload(text: &[u8]) -> Result<Json<'_>, JsonError> {
    parse_within(text, MAX_JSON_DEPTH - MAX_PAYLOAD_DEPTH)
}

/// Parses a text that will be nested inside `depth` arrays and objects.
fn parse_within(text: &[u8], depth: usize) -> Result<Json<'_>, JsonError> {
    let text = std::str::from_utf8(text)
        .map_err(|error| JsonError { problem: "not UTF-8", at: error.valid_up_to() })?;
    let mut parser = JsonParser { text, at: 0 };
    let value = parser.value(depth)?;
    match parser.peek() {
        None => Ok(value),
        Some(_) => Err(parser.error("unexpected data after the value")),
    }
}

struct JsonParser<'a> {
    text: &'a str,
    /// The offset of the next byte.
    at: usize,
}

impl<'a> JsonParser<'a> {
    /// Parses a value inside `depth` arrays and objects.
    fn value(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        match self.peek() {
            Some(b'"') => Ok(Json::Text(self.string()?)),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true", Json::Bool(true)),
            Some(b'f') => self.literal("false", Json::Bool(false)),
            Some(b'n') => self.literal("null", Json::Null),
            _ => Err(self.error("expected a value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        self.enter(depth)?;
        let mut fields = Vec::new();
        let mut has_next = !self.consume(b'}');
        while has_next {
            if self.peek() != Some(b'"') {
                return Err(self.error("expected a key"));
            }
            let key = self.string()?;
            if !self.consume(b':') {
                return Err(self.error("expected a colon after the key"));
            }
            fields.push((key, self.value(depth)?));
            has_next = self.consume_separator(b'}')?;
        }
        sort_and_keep_last(&mut fields);
        Ok(Json::Object(fields))
    }

    fn array(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        self.enter(depth)?;
        let mut items = Vec::new();
        let mut has_next = !self.consume(b']');
        while has_next {
            items.push(self.value(depth)?);
            has_next = self.consume_separator(b']')?;
        }
        Ok(Json::Array(items))
    }

    /// Consumes the opening bracket of an array or object at `depth`.
    fn enter(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth > MAX_JSON_DEPTH {
            return Err(self.error(TOO_DEEP));
        }
        self.at += 1;
        Ok(())
    }

    /// Consumes a comma or the closing bracket. Returns whether it was a comma.
    fn consume_separator(&mut self, close: u8) -> Result<bool, JsonError> {
        if self.consume(b',') {
            Ok(true)
        } else if self.consume(close) {
            Ok(false)
        } else {
            Err(self.error("expected a comma or the end of the array or object"))
        }
    }

    fn literal(&mut self, word: &str, value: Json<'a>) -> Result<Json<'a>, JsonError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.error("expected a value"));
        }
        self.at += word.len();
        Ok(value)
    }

    /// Parses a string that starts with the next byte.
    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        let (bytes, start) = (self.text.as_bytes(), self.at + 1);
        let (mut end, mut has_escape) = (start, false);
        loop {
            let found = memchr::memchr2(b'"', b'\\', bytes.get(end..).unwrap_or_default());
            end += found.ok_or_else(|| self.error("unterminated string"))?;
            if bytes[end] == b'"' {
                break;
            }
            has_escape = true;
            end += 2;
        }
        let text = if has_escape {
            // Escapes are rare, so serde_json decodes them, surrogates included.
            let quoted = &self.text[self.at..=end];
            Cow::Owned(
                serde_json::from_str(quoted)
                    .map_err(|_| self.error("invalid character or escape in a string"))?,
            )
        } else if bytes[start..end].iter().any(|byte| *byte < b' ') {
            return Err(self.error("invalid character or escape in a string"));
        } else {
            Cow::Borrowed(&self.text[start..end])
        };
        self.at = end + 1;
        Ok(text)
    }

    fn number(&mut self) -> Result<Json<'a>, JsonError> {
        let start = self.at;
        self.consume_byte(b'-');
        let whole = self.at;
        let has_leading_zero = self.digits()? > 1 && self.text.as_bytes()[whole] == b'0';
        if has_leading_zero {
            return Err(self.error("leading zero in a number"));
        }
        let integer_end = self.at;
        if self.consume_byte(b'.') {
            self.digits()?;
        }
        if self.consume_byte(b'e') || self.consume_byte(b'E') {
            let _sign = self.consume_byte(b'+') || self.consume_byte(b'-');
            self.digits()?;
        }
        let text = &self.text[start..self.at];
        let is_integer = self.at == integer_end;
        if is_integer && text.len() < SAFE_INTEGER_BYTES {
            return Ok(Json::Integer(if text == "-0" { "0" } else { text }));
        }
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() && is_integer => Ok(Json::Integer(text)),
            Ok(value) if value.is_finite() => Ok(Json::Float(value)),
            _ => Err(JsonError { problem: "number too large", at: start }),
        }
    }

    /// Consumes one or more digits. Returns their number.
    fn digits(&mut self) -> Result<usize, JsonError> {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.error("expected a digit"));
        }
        self.at += count;
        Ok(count)
    }

    /// Skips whitespace. Returns the next byte.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let skipped = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).count();
        self.at += skipped;
        rest.get(skipped).copied()
    }

    /// Skips whitespace, and consumes `byte` if it is next. Returns whether it was.
    fn consume(&mut self, byte: u8) -> bool {
        self.peek();
        self.consume_byte(byte)
    }

    /// Consumes `byte` if it is next. Returns whether it was.
    fn consume_byte(&mut self, byte: u8) -> bool {
        let is_next = self.text.as_bytes().get(self.at) == Some(&byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn error(&self, problem: &'static str) -> JsonError {
        JsonError { problem, at: self.at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        let mut out = Vec::new();
        parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}")).write(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// The expected texts are the output of Python's `json.loads` and orjson's `dumps`. orjson rejects integers beyond 64
    /// bits; for these it is the output of `json.dumps`.
    #[test]
    fn numbers_are_written_as_in_python() {
        for (text, expected) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.0", "-0.0"),
            ("-0e1", "-0.0"),
            ("1.0", "1.0"),
            ("1E5", "100000.0"),
            ("1e22", "1e+22"),
            ("1e-7", "1e-7"),
            ("0.1e1", "1.0"),
            ("2.50", "2.5"),
            ("18446744073709551615", "18446744073709551615"),
            ("18446744073709551616", "18446744073709551616"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("-9223372036854775809", "-9223372036854775809"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("18446744073709551616.0", "1.8446744073709552e+19"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("5e-324", "5e-324"),
            ("1e-999", "0.0"),
        ] {
            assert_eq!(canonical(text), expected, "{text}");
        }
    }

    #[test]
    fn integers_in_the_range_of_f64_are_exact() {
        let largest = format!("1{}", "0".repeat(308));
        assert_eq!(canonical(&largest), largest);
        assert_eq!(canonical(&format!("-{largest}")), format!("-{largest}"));
        for too_large in [format!("{largest}0"), "9".repeat(400), "1e999".into(), "-1e999".into()] {
            let error = parse(too_large.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), "number too large at byte 0");
        }
    }

    #[test]
    fn errors_name_the_problem_and_its_offset() {
        for (text, expected) in [
            ("", "expected a value at byte 0"),
            (" nul", "expected a value at byte 1"),
            ("{} x", "unexpected data after the value at byte 3"),
            ("[1 2]", "expected a comma or the end of the array or object at byte 3"),
            ("[1,]", "expected a value at byte 3"),
            ("{\"a\":1,}", "expected a key at byte 7"),
            ("{\"a\"}", "expected a colon after the key at byte 4"),
            ("[01]", "leading zero in a number at byte 3"),
            ("-", "expected a digit at byte 1"),
            ("1.", "expected a digit at byte 2"),
            ("1e+", "expected a digit at byte 3"),
            ("[\"a]", "unterminated string at byte 1"),
            ("\"\\", "unterminated string at byte 0"),
            ("\"\u{1}\"", "invalid character or escape in a string at byte 0"),
            ("\"\\ud800\"", "invalid character or escape in a string at byte 0"),
            ("\"\\x\"", "invalid character or escape in a string at byte 0"),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), expected, "{text}");
        }
        assert_eq!(parse(b"[\"\xff\"]").unwrap_err().to_string(), "not UTF-8 at byte 2");
    }

    /// Returns whether both parsers agree, apart from integers that serde_json rounds.
    fn agrees(ours: &Json<'_>, theirs: &serde_json::Value) -> bool {
        match (ours, theirs) {
            // Comparing the rounded values is sufficient.
            (Json::Integer(digits), theirs) => theirs.as_f64() == digits.parse().ok(),
            (Json::Array(ours), serde_json::Value::Array(theirs)) => {
                ours.len() == theirs.len()
                    && ours.iter().zip(theirs).all(|(ours, theirs)| agrees(ours, theirs))
            }
            (Json::Object(ours), serde_json::Value::Object(theirs)) => {
                let same =
                    |((a, ours), (b, theirs)): (&(Cow<'_, str>, Json<'_>), (&String, &serde_json::Value))| {
                        a == b && agrees(ours, theirs)
                    };
                ours.len() == theirs.len() && ours.iter().zip(theirs).all(same)
            }
            (Json::Null, theirs) => theirs.is_null(),
            (Json::Bool(ours), theirs) => theirs.as_bool() == Some(*ours),
            (Json::Float(ours), theirs) => theirs.as_f64() == Some(*ours),
            (Json::Text(ours), theirs) => theirs.as_str() == Some(ours),
            (Json::Array(_) | Json::Object(_), _) => false,
        }
    }

    proptest::proptest! {
        #[test]
        fn parser_agrees_with_serde_json(
            text in r#"([\[\]{}:,"]|"[a\\u0-9d\u{1}é]{0,6}"|-?[0-9]{1,22}|[0-9.eE+-]{1,8}|true|null|[ \n]){0,12}"#,
        ) {
            match (parse(text.as_bytes()), serde_json::from_str::<serde_json::Value>(&text)) {
                (Ok(ours), Ok(theirs)) => proptest::prop_assert!(agrees(&ours, &theirs), "{ours:?} {theirs:?}"),
                (ours, theirs) => proptest::prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?}", ours, theirs),
            }
        }

        #[test]
        fn parse_never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
