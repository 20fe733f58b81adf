//! The output of commands. stdout is data: text for people, JSON for programs. stderr is everything else.
//!
//! Text is escaped by [`Text`], and JSON is escaped when it goes to a terminal, so that no call site has to escape
//! untrusted names, payloads or replies.

mod table;
mod text;

use std::io::{ErrorKind, IsTerminal as _, Write as _, stderr, stdout};

use decnet_core::text::{escape, escape_json};
use serde::Serialize;

pub(crate) use self::table::Table;
pub(crate) use self::text::{Paint, Text, has_colors};

/// The reader of stdout has closed it, as `head` does: not a failure, but a reason to stop.
#[derive(Debug, thiserror::Error)]
#[error("stdout is closed")]
pub(crate) struct StdoutClosed;

/// Writes bytes to stdout unchanged, and flushes: only for trusted bytes, or for output that is not for people.
///
/// # Errors
/// [`StdoutClosed`], or the error of the operating system.
pub(crate) fn raw(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(StdoutClosed.into()),
        other => Ok(other?),
    }
}

/// Writes text to stdout.
///
/// # Errors
/// See [`raw`].
pub(crate) fn print(text: &Text) -> anyhow::Result<()> {
    raw(text.as_str().as_bytes())
}

/// Writes a line to stdout.
///
/// # Errors
/// See [`raw`].
pub(crate) fn line(line: &str) -> anyhow::Result<()> {
    let mut text = Text::from(line);
    text.end_line();
    print(&text)
}

/// Writes a value to stdout as one line of JSON.
///
/// # Errors
/// See [`raw`].
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    json_lines((serde_json::to_string(value)? + "\n").as_bytes())
}

/// Writes lines of JSON to stdout, unchanged; on a terminal with hidden characters escaped.
///
/// # Errors
/// See [`raw`].
pub(crate) fn json_lines(lines: &[u8]) -> anyhow::Result<()> {
    if !stdout().is_terminal() {
        return raw(lines);
    }
    raw(escape_json(&String::from_utf8_lossy(lines)).as_bytes())
}

/// Adds what a command has done to the error of the output that should have shown it. Here a closed stdout is an error too.
///
/// # Errors
/// `written` is an error.
pub(crate) fn done(what: &str, written: anyhow::Result<()>) -> anyhow::Result<()> {
    written.map_err(|error| anyhow::anyhow!("{what}; this could not be written to stdout: {error}"))
}

/// Writes a line to stderr, in one write, so that lines of processes that share stderr do not mix. Errors are ignored, since
/// they cannot be reported.
pub(crate) fn note(line: &str) {
    let line = format!("{}\n", escape(line));
    drop(stderr().lock().write_all(line.as_bytes()));
}

/// Writes a warning to stderr.
pub(crate) fn warn(warning: &str) {
    note(&format!("decnet: warning: {warning}"));
}

/// Writes a question to stderr, without an end of line.
///
/// # Errors
/// The error of the operating system.
pub(crate) fn prompt(question: &str) -> std::io::Result<()> {
    stderr().lock().write_all(escape(question).as_bytes())
}

/// Formats a number and its noun: `1 delivery`, `2 deliveries`.
pub(crate) fn pluralize(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn singular_and_plural_are_distinguished() {
        let deliveries = |number| pluralize(number, "delivery", "deliveries");
        assert_eq!([0, 1, 2].map(deliveries), ["0 deliveries", "1 delivery", "2 deliveries"]);
    }
}
