//! Tables for people.

use decnet_core::text::escape;

use super::text::{Paint, Text};

/// A table whose columns are as wide as their widest cell; the last one is not padded.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(ToString::to_string).collect()] }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        // Escaped here, since escaping changes the width of a cell.
        self.rows.push(cells.map(|cell| escape(&cell).into_owned()).into());
    }

    /// Renders the table, with highlighted headings.
    pub(crate) fn render(&self, paint: Paint) -> Text {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widest =
            |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max();
        let widths: Vec<usize> = (0..columns).map(|column| widest(column).unwrap_or(0)).collect();
        let mut text = Text::default();
        for (index, row) in self.rows.iter().enumerate() {
            let line = row.iter().zip(&widths).map(|(cell, width)| pad(cell, *width)).collect::<Vec<_>>();
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

fn width(cell: &str) -> usize {
    cell.chars().count()
}

fn pad(cell: &str, to: usize) -> String {
    format!("{cell}{}", " ".repeat(to.saturating_sub(width(cell))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_control_characters_are_shown() {
        let mut table = Table::new(&["NAME", "URL"]);
        table.row(["größe".into(), "x".into()]);
        table.row(["a".into(), "\x1b[2J".into()]);
        assert_eq!(table.render(Paint::none()).as_str(), "NAME   URL\ngröße  x\na      \\u{1b}[2J\n");
    }
}
