//! The inside of JSON strings.

/// The number of bytes that are searched at once for characters to escape, with vector instructions.
const CHUNK_BYTES: usize = 32;

/// Appends text with the escapes of a JSON string (RFC 8259 section 7), without the quotes around it.
pub(crate) fn write(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = first_escape(rest.as_bytes()) {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            byte => out.push_str(&format!("\\u{byte:04x}")),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

/// Returns the position of the first byte that must be escaped.
fn first_escape(bytes: &[u8]) -> Option<usize> {
    let is_escaped = |byte: &u8| *byte < b' ' || *byte == b'"' || *byte == b'\\';
    // A fold without an early exit is vectorized; `any` is not.
    let contains_escape = |chunk: &[u8]| chunk.iter().fold(false, |found, byte| found | is_escaped(byte));
    let chunk = bytes.chunks(CHUNK_BYTES).position(contains_escape)? * CHUNK_BYTES;
    bytes[chunk..].iter().position(is_escaped).map(|at| chunk + at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn escaped_text_is_a_json_string_with_the_text(text in prop::collection::vec(any::<char>(), 0..40)) {
            let text: String = text.into_iter().chain("\0\u{1f}\u{7f}\"\\/\n\r\t\u{2028}".chars()).collect();
            let mut json = String::from("\"");
            write(&text, &mut json);
            json.push('"');
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
