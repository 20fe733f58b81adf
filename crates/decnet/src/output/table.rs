//! Tables for people.

use std::iter;

use decnet_core::text::escape;

use super::text::{Paint, Text};

/// A table whose columns are as wide as their widest cell; the last column is not padded.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(headings: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> Self {
        let rows = iter::once(headings.map(str::to_owned)).chain(rows);
        // Escaped here, since escaping changes the width of a cell.
        Self { rows: rows.map(|cells| cells.map(|cell| escape(&cell).into_owned())).collect() }
    }

    /// Returns the width of the widest cell of each column.
    pub(crate) fn widths(&self) -> [usize; N] {
        let width = |row: &[String; N], column: usize| row[column].chars().count();
        std::array::from_fn(|column| self.rows.iter().map(|row| width(row, column)).max().unwrap_or(0))
    }

    /// Returns the headings and the rows as lines whose cells are padded or cut to `widths`.
    pub(crate) fn lines(&self, widths: [usize; N]) -> impl Iterator<Item = String> {
        self.rows.iter().map(move |cells| {
            let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$.width$}"));
            padded.collect::<Vec<_>>().join("  ")
        })
    }

    /// Renders the table, with highlighted headings.
    pub(crate) fn render(&self, paint: Paint) -> Text {
        let mut text = Text::default();
        for (index, line) in self.lines(self.widths()).enumerate() {
            let line = line.trim_end();
            text.line(if index == 0 { paint.strong(line) } else { Text::from(line) });
        }
        text
    }

    pub(crate) fn print(&self, paint: Paint) -> anyhow::Result<()> {
        super::print(&self.render(paint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_control_characters_are_shown() {
        let rows = [["größe", "x"], ["a", "\x1b[2J"]].map(|row| row.map(str::to_owned));
        let table = Table::new(["NAME", "URL"], rows);
        assert_eq!(table.render(Paint::new(false)).as_str(), "NAME   URL\ngröße  x\na      \\u{1b}[2J\n");
    }
}
