//! JSON values that borrow from their text, with integers exact and the keys of every object sorted and unique.
//!
//! serde_json turns an integer beyond 64 bits into a float, and `-0` into `-0.0`. Its feature `arbitrary_precision` keeps
//! such numbers, but makes a string of every number in the whole build. This reader keeps an integer as the digits it was
//! written with, which are its canonical form already (RFC 8259 section 6 allows no leading zero).

use std::borrow::Cow;

use crate::limits::{MAX_JSON_DEPTH, MAX_PAYLOAD_DEPTH};

const TOO_DEEP: &str = "nested too deeply: a payload has at most 253 levels";
const _: () = assert!(MAX_PAYLOAD_DEPTH == 253);

/// Numbers shorter than this, in bytes, cannot exceed `f64`, whose largest value has 309 digits.
const SAFE_INTEGER_BYTES: usize = 309;

/// A JSON value that borrows from its text wherever no escape stands in the way.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    /// The digits of an integer of any size; `-0` is `0`, as Python reads it.
    Integer(&'a str),
    /// A number with a fraction or an exponent; finite.
    Float(f64),
    Text(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    /// Sorted by key; of a repeated key the last value.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// Why a text is not JSON that everybody can read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at byte {at}")]
pub struct JsonError {
    problem: &'static str,
    /// Offset into the text, in bytes.
    at: usize,
}

impl Json<'_> {
    pub(super) const EMPTY_OBJECT: Json<'static> = Json::Object(Vec::new());
    pub(super) const EMPTY_TEXT: Json<'static> = Json::Text(Cow::Borrowed(""));

    /// Returns whether Python's `or` keeps the value: DECNET replaces empty payloads and types by defaults.
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

    /// Returns the value of a number, rounded to the nearest double.
    pub(super) fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Integer(digits) => digits.parse().ok(),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// Appends the value to `out` in canonical form: no blanks, shortest floats.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Integer(digits) => out.extend_from_slice(digits.as_bytes()),
            Self::Float(value) => write_scalar(value, out),
            Self::Text(text) => write_text(text, out),
            Self::Array(items) => {
                let write = |item: &Json<'_>, out: &mut Vec<u8>| item.write(out);
                write_all(b"[]", items, write, out);
            }
            Self::Object(fields) => {
                let write = |(key, value): &(Cow<'_, str>, Json<'_>), out: &mut Vec<u8>| {
                    write_text(key, out);
                    out.push(b':');
                    value.write(out);
                };
                write_all(b"{}", fields, write, out);
            }
        }
    }
}

/// Appends a JSON string to `out`.
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    write_scalar(text, out);
}

fn write_scalar(value: &(impl serde::Serialize + ?Sized), out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("texts and finite numbers always serialise into memory");
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

/// Returns the value of a key in sorted fields.
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

/// Reads a whole text.
///
/// # Errors
/// A text that is not JSON (RFC 8259), not UTF-8, nested deeper than [`MAX_JSON_DEPTH`], or that has a number no double
/// can hold.
pub(super) fn read(text: &[u8]) -> Result<Json<'_>, JsonError> {
    read_within(text, 0)
}

/// Reads a whole payload, which may nest one level less than a body: it becomes a field of one.
///
/// # Errors
/// See [`read`].
pub(super) fn read_payload(text: &[u8]) -> Result<Json<'_>, JsonError> {
    read_within(text, MAX_JSON_DEPTH - MAX_PAYLOAD_DEPTH)
}

/// Reads a whole text with `depth` lists and objects around it.
fn read_within(text: &[u8], depth: usize) -> Result<Json<'_>, JsonError> {
    let text = std::str::from_utf8(text)
        .map_err(|error| JsonError { problem: "not UTF-8", at: error.valid_up_to() })?;
    let mut reader = JsonReader { text, at: 0 };
    let value = reader.value(depth)?;
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.error("more than one value")),
    }
}

/// The text, and how far it is read, in bytes.
struct JsonReader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> JsonReader<'a> {
    /// Reads a value with `depth` lists and objects around it.
    fn value(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        match self.peek() {
            Some(b'"') => Ok(Json::Text(self.string()?)),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true", Json::Bool(true)),
            Some(b'f') => self.literal("false", Json::Bool(false)),
            Some(b'n') => self.literal("null", Json::Null),
            _ => Err(self.error("no value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        self.enter(depth)?;
        let mut fields = Vec::new();
        let mut goes_on = !self.takes(b'}');
        while goes_on {
            if self.peek() != Some(b'"') {
                return Err(self.error("no key"));
            }
            let key = self.string()?;
            if !self.takes(b':') {
                return Err(self.error("no colon after a key"));
            }
            fields.push((key, self.value(depth)?));
            goes_on = self.goes_on(b'}')?;
        }
        sort_and_keep_last(&mut fields);
        Ok(Json::Object(fields))
    }

    fn array(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        self.enter(depth)?;
        let mut items = Vec::new();
        let mut goes_on = !self.takes(b']');
        while goes_on {
            items.push(self.value(depth)?);
            goes_on = self.goes_on(b']')?;
        }
        Ok(Json::Array(items))
    }

    /// Steps over the bracket that opens a list or object of this depth.
    fn enter(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth > MAX_JSON_DEPTH {
            return Err(self.error(TOO_DEEP));
        }
        self.at += 1;
        Ok(())
    }

    /// Steps over a comma or the closing bracket; returns whether it was a comma.
    fn goes_on(&mut self, close: u8) -> Result<bool, JsonError> {
        if self.takes(b',') {
            Ok(true)
        } else if self.takes(close) {
            Ok(false)
        } else {
            Err(self.error("neither a comma nor the end of a list or object"))
        }
    }

    fn literal(&mut self, word: &str, value: Json<'a>) -> Result<Json<'a>, JsonError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.error("no value"));
        }
        self.at += word.len();
        Ok(value)
    }

    /// Reads the string whose opening quote is next.
    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        let (bytes, start) = (self.text.as_bytes(), self.at + 1);
        let (mut end, mut has_escape) = (start, false);
        loop {
            let found = memchr::memchr2(b'"', b'\\', bytes.get(end..).unwrap_or_default());
            end += found.ok_or_else(|| self.error("a string without an end"))?;
            if bytes[end] == b'"' {
                break;
            }
            has_escape = true;
            end += 2;
        }
        let text = if has_escape {
            // Escapes are rare; serde_json knows their rules, those for surrogates included.
            let quoted = &self.text[self.at..=end];
            Cow::Owned(serde_json::from_str(quoted).map_err(|_| self.error("a string with a bad character"))?)
        } else if bytes[start..end].iter().any(|byte| *byte < b' ') {
            return Err(self.error("a string with a bad character"));
        } else {
            Cow::Borrowed(&self.text[start..end])
        };
        self.at = end + 1;
        Ok(text)
    }

    fn number(&mut self) -> Result<Json<'a>, JsonError> {
        let start = self.at;
        self.takes_here(b'-');
        let whole = self.at;
        let has_leading_zero = self.digits()? > 1 && self.text.as_bytes()[whole] == b'0';
        if has_leading_zero {
            return Err(self.error("a number with a leading zero"));
        }
        let integer_end = self.at;
        if self.takes_here(b'.') {
            self.digits()?;
        }
        if self.takes_here(b'e') || self.takes_here(b'E') {
            let _sign = self.takes_here(b'+') || self.takes_here(b'-');
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
            _ => Err(JsonError { problem: "a number that is too large", at: start }),
        }
    }

    /// Steps over digits, at least one; returns how many.
    fn digits(&mut self) -> Result<usize, JsonError> {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.error("a number without a digit"));
        }
        self.at += count;
        Ok(count)
    }

    /// Steps over blanks; returns the byte that follows them.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).count();
        self.at += blanks;
        rest.get(blanks).copied()
    }

    /// Steps over blanks and `byte`, if that is what follows them.
    fn takes(&mut self, byte: u8) -> bool {
        self.peek();
        self.takes_here(byte)
    }

    /// Steps over `byte`, if it is next.
    fn takes_here(&mut self, byte: u8) -> bool {
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
        read(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}")).write(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// The right-hand side is what Python's `json.loads` and then orjson's `dumps` make of it, but for integers beyond 64
    /// bits, which orjson refuses and Python's `json.dumps` writes so.
    #[test]
    fn numbers_are_written_as_python_reads_them() {
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
    fn integers_are_exact_up_to_what_a_double_can_hold() {
        let largest = format!("1{}", "0".repeat(308));
        assert_eq!(canonical(&largest), largest);
        assert_eq!(canonical(&format!("-{largest}")), format!("-{largest}"));
        for too_large in [format!("{largest}0"), "9".repeat(400), "1e999".into(), "-1e999".into()] {
            let error = read(too_large.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), "a number that is too large at byte 0");
        }
    }

    #[test]
    fn errors_name_what_is_wrong_and_where() {
        for (text, expected) in [
            ("", "no value at byte 0"),
            (" nul", "no value at byte 1"),
            ("{} x", "more than one value at byte 3"),
            ("[1 2]", "neither a comma nor the end of a list or object at byte 3"),
            ("[1,]", "no value at byte 3"),
            ("{\"a\":1,}", "no key at byte 7"),
            ("{\"a\"}", "no colon after a key at byte 4"),
            ("[01]", "a number with a leading zero at byte 3"),
            ("-", "a number without a digit at byte 1"),
            ("1.", "a number without a digit at byte 2"),
            ("1e+", "a number without a digit at byte 3"),
            ("[\"a]", "a string without an end at byte 1"),
            ("\"\\", "a string without an end at byte 0"),
            ("\"\u{1}\"", "a string with a bad character at byte 0"),
            ("\"\\ud800\"", "a string with a bad character at byte 0"),
            ("\"\\x\"", "a string with a bad character at byte 0"),
        ] {
            assert_eq!(read(text.as_bytes()).unwrap_err().to_string(), expected, "{text}");
        }
        assert_eq!(read(b"[\"\xff\"]").unwrap_err().to_string(), "not UTF-8 at byte 2");
    }

    /// The value as serde_json has it, but for integers that it would round.
    fn agrees(ours: &Json<'_>, theirs: &serde_json::Value) -> bool {
        match (ours, theirs) {
            // Where both are exact, a double says as much of them as is needed.
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
        fn accepts_and_reads_what_serde_json_does(
            text in r#"([\[\]{}:,"]|"[a\\u0-9d\u{1}é]{0,6}"|-?[0-9]{1,22}|[0-9.eE+-]{1,8}|true|null|[ \n]){0,12}"#,
        ) {
            match (read(text.as_bytes()), serde_json::from_str::<serde_json::Value>(&text)) {
                (Ok(ours), Ok(theirs)) => proptest::prop_assert!(agrees(&ours, &theirs), "{ours:?} {theirs:?}"),
                (ours, theirs) => proptest::prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?}", ours, theirs),
            }
        }

        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }
}
