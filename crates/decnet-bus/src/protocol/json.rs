//! Checks of JSON that serde's skipping parser does not make.
//!
//! A payload is relayed verbatim, so serde only skips over it. Skipping accepts lone surrogates, numbers beyond `f64`
//! and deep nesting. DECNET's reader fails on each of them and closes its connection, so one bad publisher would
//! disconnect the others.

use decnet_core::limits::{MAX_JSON_DEPTH, MAX_PAYLOAD_DEPTH};
use serde_json::value::RawValue;

/// A number without exponent that is shorter than this cannot exceed `f64`, whose largest value has 309 digits.
const SAFE_NUMBER_BYTES: usize = 300;

/// The reason why not every reader of the bus could parse a text as JSON.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Not JSON.
    #[error("not JSON: {0}")]
    Syntax(#[from] serde_json::Error),
    /// An escape encodes half of a surrogate pair.
    #[error("not portable JSON: lone surrogate in an escape at byte {0}")]
    LoneSurrogate(usize),
    /// A number exceeds `f64`.
    #[error("not portable JSON: number too large at byte {0}")]
    NumberTooLarge(usize),
    /// The nesting is deeper than DECNET's daemon relays.
    #[error("nested deeper than {0} levels")]
    TooDeep(usize),
}

/// Parses a payload that every reader of the bus can parse. It may nest one level less than a body, since the body is
/// an object around it.
///
/// # Errors
/// See [`JsonError`].
pub fn check_payload(text: &str) -> Result<&RawValue, JsonError> {
    let payload = serde_json::from_str(text)?;
    check_values(text.as_bytes(), MAX_PAYLOAD_DEPTH)?;
    Ok(payload)
}

/// Checks a whole body that is valid JSON.
pub(super) fn check_body(json: &[u8]) -> Result<(), JsonError> {
    check_values(json, MAX_JSON_DEPTH)
}

/// Scans valid JSON for surrogates, numbers and nesting that a skipping parser does not check.
fn check_values(json: &[u8], max_depth: usize) -> Result<(), JsonError> {
    let (mut at, mut depth) = (0, 0usize);
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => at = after_string(json, at + 1)?,
            b'-' | b'0'..=b'9' => at = after_number(json, at)?,
            b'[' | b'{' => {
                depth += 1;
                at += 1;
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            _ => at += 1,
        }
        if depth > max_depth {
            return Err(JsonError::TooDeep(max_depth));
        }
    }
    Ok(())
}

/// Returns the index after the closing quote of the string whose text starts at `at`.
fn after_string(json: &[u8], mut at: usize) -> Result<usize, JsonError> {
    while let Some(found) = json.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if json[at] == b'"' {
            return Ok(at + 1);
        }
        at = after_escape(json, at)?;
    }
    Ok(json.len())
}

/// Returns the index after the escape at `at`, or after both escapes of a surrogate pair.
fn after_escape(json: &[u8], at: usize) -> Result<usize, JsonError> {
    match unit(json, at) {
        None => Ok(at + 2),
        Some(0xD800..=0xDBFF) if matches!(unit(json, at + 6), Some(0xDC00..=0xDFFF)) => Ok(at + 12),
        Some(0xD800..=0xDFFF) => Err(JsonError::LoneSurrogate(at)),
        Some(_) => Ok(at + 6),
    }
}

/// Returns the UTF-16 code unit of the `\uXXXX` escape at `at`.
fn unit(json: &[u8], at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn after_number(json: &[u8], at: usize) -> Result<usize, JsonError> {
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    let rest = &json[at..];
    let len = rest.iter().position(|byte| !is_part(byte)).unwrap_or(rest.len());
    let number = &rest[..len];
    let suspect = len > SAFE_NUMBER_BYTES || number.iter().any(|byte| matches!(byte, b'e' | b'E'));
    if suspect && !as_f64(number).is_finite() {
        return Err(JsonError::NumberTooLarge(at));
    }
    Ok(at + len)
}

/// Returns the value of a JSON number; infinite if it is too large.
pub(super) fn as_f64(number: &[u8]) -> f64 {
    let text = std::str::from_utf8(number).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_that_decnet_accepts_is_accepted() {
        let deep = "[".repeat(MAX_PAYLOAD_DEPTH) + &"]".repeat(MAX_PAYLOAD_DEPTH);
        let many_digits = "9".repeat(300);
        for text in [
            r#"{"a":"\ud83d\ude00 \\ud800 \/ \u0000"}"#,
            "1e-999",
            "1.7976931348623157e308",
            "99999999999999999999",
            "[-0, 0e99999999999999999999]",
            "\"\x7f [[[ 1e999\"",
            " {} ",
            &deep,
            &many_digits,
        ] {
            assert!(check_payload(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn json_that_decnet_rejects_is_rejected() {
        let deep = "[".repeat(MAX_JSON_DEPTH) + &"]".repeat(MAX_JSON_DEPTH);
        let abyss = "[".repeat(200_000);
        let many_digits = "9".repeat(400);
        for text in [
            r#""\ud800""#,
            r#""\udc00""#,
            r#""\ud800\u0041""#,
            r#"{"\ud800":1}"#,
            r#""\uD83D\uDE0""#,
            "1e999",
            "[-1.0e309]",
            "1.7976931348623159e308",
            "NaN",
            "Infinity",
            "\"\x01\"",
            "01",
            "1.",
            "{\"a\":1,}",
            "{}\0",
            "\u{feff}{}",
            "",
            &deep,
            &abyss,
            &many_digits,
        ] {
            assert!(check_payload(text).is_err(), "{text:.60}");
        }
    }

    proptest::proptest! {
        #[test]
        fn check_never_accepts_more_than_a_full_parse(text in r#"[\[\]{}",:\\ud8dc0-9eE+.\-a ]{0,40}"#) {
            if check_payload(&text).is_ok() {
                proptest::prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
            }
        }
    }
}
