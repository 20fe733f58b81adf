//! stdout is data: tables for people, JSON for programs. stderr is everything else.

use std::io::{ErrorKind, IsTerminal as _, Write as _, stderr, stdout};

use serde::Serialize;

/// Whoever read our output has left, as `head` does: no failure, but no reason to go on.
#[derive(Debug, thiserror::Error)]
#[error("stdout is closed")]
pub(crate) struct StdoutClosed;

/// Writes text to stdout as it is, and flushes.
///
/// # Errors
/// [`StdoutClosed`], or what the operating system says.
pub(crate) fn write(text: &[u8]) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(StdoutClosed.into()),
        other => Ok(other?),
    }
}

/// Writes a line to stdout.
///
/// # Errors
/// As [`write()`].
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    write(format!("{text}\n").as_bytes())
}

/// Writes a value to stdout as one line of JSON.
///
/// # Errors
/// As [`write()`].
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string(value)?)
}

/// Writes a line to stderr. If even that is closed there is nobody left to tell.
pub(crate) fn say(text: &str) {
    drop(writeln!(stderr().lock(), "{text}"));
}

/// A number and what it counts: `1 delivery`, `2 deliveries`.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Even into a pipe.
    Always,
    /// Not even on a terminal.
    Never,
}

impl Color {
    /// Decides for a stream.
    pub(crate) fn decide(self, no_color: bool, is_terminal: bool) -> bool {
        match self {
            Self::Auto => is_terminal && !no_color,
            Self::Always => true,
            Self::Never => false,
        }
    }

    pub(crate) fn for_stdout(self, no_color: bool) -> Paint {
        Paint(self.decide(no_color, stdout().is_terminal()))
    }

    pub(crate) fn for_stderr(self, no_color: bool) -> bool {
        self.decide(no_color, stderr().is_terminal())
    }
}

/// Colours, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paint(bool);

impl Paint {
    pub(crate) fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    pub(crate) fn doubtful(self, text: &str) -> String {
        self.with("33", text)
    }

    pub(crate) fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    pub(crate) fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Columns as wide as their widest cell; the last one is left ragged.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(ToString::to_string).collect()] }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| printable(&cell)).into());
    }

    /// The table as text, its headings painted.
    pub(crate) fn render(&self, paint: Paint) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widest =
            |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max();
        let widths: Vec<usize> = (0..columns).map(|column| widest(column).unwrap_or(0)).collect();
        let mut text = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            let line = row.iter().zip(&widths).map(|(cell, width)| pad(cell, *width)).collect::<Vec<_>>();
            let line = line.join("  ");
            let line = line.trim_end();
            text += &if index == 0 { paint.strong(line) } else { line.to_owned() };
            text.push('\n');
        }
        text
    }

    pub(crate) fn print(&self, paint: Paint) -> anyhow::Result<()> {
        write(self.render(paint).as_bytes())
    }
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

fn pad(cell: &str, to: usize) -> String {
    format!("{cell}{}", " ".repeat(to.saturating_sub(width(cell))))
}

/// What others wrote may hold control characters, which could rewrite a terminal: they are shown escaped.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_control_characters_are_shown() {
        let mut table = Table::new(&["NAME", "URL"]);
        table.row(["größe".into(), "x".into()]);
        table.row(["a".into(), "\x1b[2J".into()]);
        assert_eq!(table.render(Paint(false)), "NAME   URL\ngröße  x\na      \\u{1b}[2J\n");
    }

    #[test]
    fn one_is_not_many() {
        let deliveries = |number| counted(number, "delivery", "deliveries");
        assert_eq!([0, 1, 2].map(deliveries), ["0 deliveries", "1 delivery", "2 deliveries"]);
    }

    #[test]
    fn colours_only_where_they_are_wanted() {
        assert!(Color::Auto.decide(false, true));
        assert!(!Color::Auto.decide(true, true) && !Color::Auto.decide(false, false));
        assert!(Color::Always.decide(true, false) && !Color::Never.decide(false, true));
        assert_eq!(Paint(false).bad("x"), "x");
    }
}
