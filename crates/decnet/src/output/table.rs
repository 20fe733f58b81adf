//! Tables for people.

use std::iter;

use decnet_core::text::escape;

use super::text::{Paint, Text};

/// A table whose columns are as wide as their widest cell; the last column is not padded.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(
        headings: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> Self {
        // Escaped here, since escaping changes the width of a cell.
        let rows = rows.into_iter().map(|cells| cells.map(|cell| escape(&cell).into_owned()).into());
        Self { rows: iter::once(headings.map(str::to_owned).into()).chain(rows).collect() }
    }

    /// Renders the table, with highlighted headings.
    pub(crate) fn render(&self, paint: Paint) -> Text {
        let mut widths = vec![0; self.rows[0].len()];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = Text::default();
        for (index, row) in self.rows.iter().enumerate() {
            let line =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect::<Vec<_>>();
            let line = line.join("  ");
            let line = line.trim_end();
            text += if index == 0 { paint.strong(line) } else { Text::from(line) };
            text.end_line();
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
        assert_eq!(table.render(Paint::none()).as_str(), "NAME   URL\ngröße  x\na      \\u{1b}[2J\n");
    }
}
