//! Indented JSON.

/// Indents JSON without changing its tokens: large numbers stay exact, and the order of the members stays.
pub(crate) fn indent(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut depth, mut is_string, mut is_escaped) = (0_usize, false, false);
    let mut chars = json.chars().peekable();
    while let Some(c) = chars.next() {
        if is_string {
            out.push(c);
            is_string = is_escaped || c != '"';
            is_escaped = !is_escaped && c == '\\';
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                while chars.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(end) = chars.next_if(|c| matches!(c, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => {
                is_string = c == '"';
                out.push(c);
            }
        }
    }
    out
}

/// The deepest level that is indented further. Deeper JSON would be mostly spaces.
const MAX_DEPTH: usize = 16;

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    for _ in 0..depth.min(MAX_DEPTH) {
        out.push_str("  ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_unchanged() {
        let json = r#"{"n":12345678901234567890.10,"s":"a,{\"b\\","e":[],"o":{ },"l":[1,true]}"#;
        let indented = indent(json);
        assert_eq!(
            indented,
            "{\n  \"n\": 12345678901234567890.10,\n  \"s\": \"a,{\\\"b\\\\\",\n  \"e\": [],\n  \"o\": {},\n  \"l\": [\n    1,\n    true\n  ]\n}"
        );
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{}1{}", "[".repeat(300), "]".repeat(300));
        assert!(indent(&deep).len() < 300 * 2 * (2 * MAX_DEPTH + 2));
    }
}
