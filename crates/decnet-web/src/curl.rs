//! Requests as commands for curl.

use decnet_core::text::{escape, escape_json};

use crate::delivery::Request;

/// The maximum size of a body in a command, in bytes. Linux permits 128 KiB for one argument.
const MAX_BODY_BYTES: usize = 96 * 1024;
/// The value by which the API replaces a secret.
const REDACTED: &str = "[secret]";

/// Returns a command that sends a request with this body. Variables of the shell stand for what is secret: the path of the URL,
/// signatures, and the subscription's own headers. `None` if the receiver is unknown or the body is too large for a command.
///
/// The command contains no hidden character: pasted into a terminal, it could otherwise end its own quotes. JSON escapes replace
/// such characters in the body.
pub(crate) fn command(request: &Request, body: &str) -> Option<String> {
    let origin = request.url.as_ref()?.raw().strip_suffix('…')?;
    let body = escape_json(body);
    if body.len() > MAX_BODY_BYTES {
        return None;
    }
    let mut parts = vec![format!("curl --globoff --request {}", quote(request.method.raw()))];
    let sent = request.headers.iter().filter(|(name, _)| name.raw() != "content-length");
    parts.extend(sent.map(|(name, value)| format!("--header {}", header(name.raw(), value.raw()))));
    parts.push(format!("--data-raw {}", quote(&body)));
    parts.push(format!("{}\"${{RECEIVER_PATH?}}\"", quote(&escape(origin))));
    Some(parts.join(" \\\n  "))
}

/// Returns a header as an argument. A secret value is a variable that must be set.
fn header(name: &str, value: &str) -> String {
    if value != REDACTED {
        return quote(&escape(&format!("{name}: {value}")));
    }
    let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let variable: String = name.chars().map(upper).collect();
    format!("{}\"${{RECEIVER_SECRET_{variable}:?}}\"", quote(&escape(&format!("{name}: "))))
}

/// Quotes text as one argument of a POSIX shell (Shell Command Language, section 2.2.2). The text must not contain NUL, which no
/// argument can contain.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use serde_json::{Value, json};

    use super::*;

    const HOSTILE: [&str; 8] = [
        "",
        "it's",
        "'; touch /tmp/x; echo '",
        "$(id) `id` ${HOME} !! \\ \\' \\n \"",
        "line\nline\r\n\t'\n",
        "@/etc/passwd",
        "-\u{7f}\u{1b}[31m\u{9b}\u{202e}é😀",
        "''''",
    ];

    /// Returns what the script prints.
    fn run(script: &str) -> Vec<u8> {
        let output = Command::new("sh").args(["-c", script]).output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
        output.stdout
    }

    fn request(headers: &Value) -> Request {
        let request = json!({"method": "POST", "url": "https://[::1]:8443/…", "headers": headers});
        serde_json::from_value(request).unwrap()
    }

    /// Returns the arguments that curl would get.
    fn arguments(command: &str) -> Vec<String> {
        let set = "RECEIVER_PATH='a b?c=d' RECEIVER_SECRET_X_KEY='it'\\''s'";
        let script = format!("{set}; curl() {{ printf '%s\\0' \"$@\"; }}; {command}");
        let printed = String::from_utf8(run(&script)).unwrap();
        printed.strip_suffix('\0').unwrap().split('\0').map(str::to_owned).collect()
    }

    #[test]
    fn shell_reads_quoted_text_back() {
        for text in HOSTILE {
            assert_eq!(run(&format!("printf %s {}", quote(text))), text.as_bytes(), "{text:?}");
        }
    }

    #[test]
    fn command_sends_the_value_of_any_body() {
        let texts = HOSTILE.into_iter().chain(["\0", "\u{fffd}"]);
        for value in texts.map(|text| json!({"text": text, "n": [1, 2]})) {
            // The characters are not escaped in the JSON where that is permitted.
            for body in [value.to_string(), format!("{value:#}\r\n\t")] {
                let command = command(&request(&json!({})), &body).unwrap();
                assert!(!command.contains(|c: char| c.is_control() && c != '\n'), "{command:?}");
                let arguments = arguments(&command);
                let at = arguments.iter().position(|argument| argument == "--data-raw").unwrap();
                assert_eq!(serde_json::from_str::<Value>(&arguments[at + 1]).unwrap(), value);
            }
        }
    }

    #[test]
    fn numbers_of_a_body_stay_exact() {
        let body = r#"{"n":12345678901234567890,"x":1.0e400}"#;
        assert!(command(&request(&json!({})), body).unwrap().contains(body));
    }

    #[test]
    fn command_contains_the_request_without_secrets() {
        let headers = json!({
            "content-length": "2", "content-type": "application/json", "x-key": "[secret]", "x-it's": "a'b\u{7f}",
        });
        let command = command(&request(&headers), "{}").unwrap();
        assert!(!command.contains("[secret]"), "{command}");
        let expected = [
            "--globoff",
            "--request",
            "POST",
            "--header",
            "content-type: application/json",
            "--header",
            "x-it's: a'b\\u{7f}",
            "--header",
            "x-key: it's",
            "--data-raw",
            "{}",
            "https://[::1]:8443/a b?c=d",
        ];
        assert_eq!(arguments(&command), expected);
    }

    #[test]
    fn unknown_receivers_and_large_bodies_have_no_command() {
        let deleted = Request { url: None, ..request(&json!({})) };
        assert!(command(&deleted, "{}").is_none());
        assert!(command(&request(&json!({})), &format!("\"{}\"", "x".repeat(MAX_BODY_BYTES))).is_none());
    }
}
