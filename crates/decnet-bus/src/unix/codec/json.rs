//! What DECNET's JSON parser refuses beyond what serde's skipping parser does.
//!
//! A payload is relayed as the text it came in, so serde only skips over it, and skipping tells neither a
//! lone surrogate nor a number beyond `f64` nor deep nesting from the rest. A reader of ours or of DECNET's
//! would fail on each of them, and DECNET's closes its connection: one bad publisher would silence the others.

use decnet_core::limits::{MAX_JSON_DEPTH, MAX_PAYLOAD_DEPTH};
use serde_json::value::RawValue;

/// Digits and exponents shorter than this cannot exceed `f64`, whose largest value has 309 digits.
const SAFE_NUMBER_BYTES: usize = 300;

/// Why a text is no JSON that everybody can read.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Not JSON.
    #[error("not JSON: {0}")]
    Syntax(#[from] serde_json::Error),
    /// An escape that is half a character.
    #[error("a lone surrogate in an escape at byte {0}")]
    LoneSurrogate(usize),
    /// A number that no double holds.
    #[error("a number that is too large at byte {0}")]
    NumberTooLarge(usize),
    /// Deeper than a daemon of DECNET relays.
    #[error("nested deeper than {0} levels")]
    TooDeep(usize),
}

/// Parses a payload that every reader of the bus can read. It may nest one level less than a body, which is an object
/// around it.
///
/// # Errors
/// See [`JsonError`].
pub fn check_payload(text: &str) -> Result<&RawValue, JsonError> {
    let payload = serde_json::from_str(text)?;
    check_values(text.as_bytes(), MAX_PAYLOAD_DEPTH)?;
    Ok(payload)
}

/// Checks a whole body, whose syntax is known to be right.
pub(super) fn check_body(json: &[u8]) -> Result<(), JsonError> {
    check_values(json, MAX_JSON_DEPTH)
}

/// Walks over `json`, whose syntax is known to be right, and checks what a skipping parser does not.
fn check_values(json: &[u8], most_depth: usize) -> Result<(), JsonError> {
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
        if depth > most_depth {
            return Err(JsonError::TooDeep(most_depth));
        }
    }
    Ok(())
}

/// The place after the quote that ends the string whose text starts at `at`.
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

/// The place after the escape at `at`, both halves of a pair.
fn after_escape(json: &[u8], at: usize) -> Result<usize, JsonError> {
    match unit(json, at) {
        None => Ok(at + 2),
        Some(0xD800..=0xDBFF) if matches!(unit(json, at + 6), Some(0xDC00..=0xDFFF)) => Ok(at + 12),
        Some(0xD800..=0xDFFF) => Err(JsonError::LoneSurrogate(at)),
        Some(_) => Ok(at + 6),
    }
}

/// The UTF-16 unit that `\uXXXX` at `at` stands for.
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

/// The value of a JSON number; infinite when it is too large.
pub(super) fn as_f64(number: &[u8]) -> f64 {
    let text = std::str::from_utf8(number).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_decnet_accepts() {
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
    fn refuses_what_decnet_refuses() {
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
        fn never_panics_and_takes_no_more_than_a_full_parse(text in r#"[\[\]{}",:\\ud8dc0-9eE+.\-a ]{0,40}"#) {
            if check_payload(&text).is_ok() {
                proptest::prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
            }
        }
    }
}
