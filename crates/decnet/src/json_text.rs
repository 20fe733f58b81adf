//! Reformatting of JSON text without parsing its values: numbers, strings and the order of keys remain unchanged.

use serde_json::value::RawValue;

/// The number of spaces per level of indentation.
const INDENT: usize = 2;

/// Returns JSON on one line, without whitespace between tokens; `None` for invalid JSON.
pub(crate) fn compact(json: &[u8]) -> Option<Box<RawValue>> {
    RawValue::from_string(format_json(json, false)?).ok()
}

/// Returns JSON with every field and element on its own line; `None` for invalid JSON.
pub(crate) fn indented(json: &[u8]) -> Option<String> {
    format_json(json, true)
}

/// Formats JSON; returns `None` if it is invalid.
fn format_json(json: &[u8], indented: bool) -> Option<String> {
    let raw: &RawValue = serde_json::from_slice(json).ok()?;
    let mut out = String::with_capacity(json.len());
    let (mut depth, mut is_open, mut in_string, mut is_escaped) = (0, false, false, false);
    for character in raw.get().chars() {
        if in_string {
            in_string = character != '"' || is_escaped;
            is_escaped = character == '\\' && !is_escaped;
            out.push(character);
            continue;
        }
        if character.is_ascii_whitespace() {
            continue;
        }
        in_string = character == '"';
        let closes = matches!(character, '}' | ']');
        depth -= usize::from(closes);
        // An empty list or object remains on its line.
        if indented && is_open != closes {
            break_line(&mut out, depth);
        }
        is_open = matches!(character, '{' | '[');
        depth += usize::from(is_open);
        out.push(character);
        match character {
            ':' if indented => out.push(' '),
            ',' if indented => break_line(&mut out, depth),
            _ => {}
        }
    }
    Some(out)
}

fn break_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', INDENT * depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whitespace_changes() {
        let json = "{ \"b\" :[1.50, 123456789012345678901234567890,-0],\n\"a\\\"}\": {\"é , :\":[ ] , \"o\":{}}, \"\\\\\": null}";
        let compacted = compact(json.as_bytes()).unwrap();
        assert_eq!(
            compacted.get(),
            "{\"b\":[1.50,123456789012345678901234567890,-0],\"a\\\"}\":{\"é , :\":[],\"o\":{}},\"\\\\\":null}"
        );
        let expected = "{\n  \"b\": [\n    1.50,\n    123456789012345678901234567890,\n    -0\n  ],\n  \"a\\\"}\": {\n    \
                        \"é , :\": [],\n    \"o\": {}\n  },\n  \"\\\\\": null\n}";
        assert_eq!(indented(json.as_bytes()).unwrap(), expected);
        assert_eq!(indented(b" 1 ").unwrap(), "1");
        assert!(compact(b"{").is_none() && indented(b"").is_none());
    }

    proptest::proptest! {
        #[test]
        fn formatted_json_is_the_same_value(text in ".*", number: f64, list: Vec<u8>) {
            let value = serde_json::json!({"z": {&text: [number, {}]}, "a": list, "t": text});
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let compacted = compact(pretty.as_bytes()).unwrap();
            proptest::prop_assert_eq!(compacted.get(), value.to_string());
            proptest::prop_assert_eq!(indented(compacted.get().as_bytes()).unwrap(), pretty);
        }
    }
}
