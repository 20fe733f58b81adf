//! The full-screen page on a terminal, redrawn after each update and each key.

use std::io;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use decnet_core::text::escape;
use ratatui::DefaultTerminal;
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Paragraph, Row, Table, TableState};
use tokio_util::sync::CancellationToken;

use super::view::{self, HEADINGS, Order, View};

/// How long to wait for a key before checking for an update.
const POLL: Duration = Duration::from_millis(100);
/// The rows that a page key scrolls.
const PAGE: usize = 10;

/// An update of the page.
pub(super) enum Update {
    View(View),
    /// The reason why there is no new view.
    Error(String),
}

/// The content of the page.
#[derive(Default)]
struct Page {
    view: Option<View>,
    /// The reason why the view is outdated.
    error: Option<String>,
    order: Order,
    table: TableState,
    is_closed: bool,
}

/// Shows the page until a key or `stop` closes it, then restores the terminal.
pub(super) fn run(updates: &Receiver<Update>, stop: &CancellationToken) -> io::Result<()> {
    let mut terminal = ratatui::try_init()?;
    let result = draw(&mut terminal, updates, stop);
    ratatui::try_restore()?;
    result
}

fn draw(
    terminal: &mut DefaultTerminal,
    updates: &Receiver<Update>,
    stop: &CancellationToken,
) -> io::Result<()> {
    let mut page = Page::default();
    while !page.is_closed && !stop.is_cancelled() {
        updates.try_iter().for_each(|update| page.update(update));
        terminal.draw(|frame| page.draw(frame))?;
        if event::poll(POLL)?
            && let Event::Key(key) = event::read()?
            && key.kind != KeyEventKind::Release
        {
            page.press(key);
        }
    }
    Ok(())
}

impl Page {
    fn update(&mut self, update: Update) {
        match update {
            Update::View(mut view) => {
                view.sort(self.order);
                (self.view, self.error) = (Some(view), None);
            }
            Update::Error(error) => self.error = Some(error),
        }
    }

    fn press(&mut self, key: KeyEvent) {
        let rows = self.view.as_ref().map_or(0, |view| view.rows.len());
        let at = self.table.selected().unwrap_or(0);
        let to = match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                return self.is_closed = true;
            }
            KeyCode::Char('q') | KeyCode::Esc => return self.is_closed = true,
            KeyCode::Char('s') => return self.sort(),
            KeyCode::Down | KeyCode::Char('j') => at + 1,
            KeyCode::Up | KeyCode::Char('k') => at.saturating_sub(1),
            KeyCode::PageDown | KeyCode::Char(' ') => at + PAGE,
            KeyCode::PageUp => at.saturating_sub(PAGE),
            KeyCode::Home => 0,
            KeyCode::End => rows,
            _ => return,
        };
        self.table.select(Some(to.min(rows.saturating_sub(1))));
    }

    fn sort(&mut self) {
        self.order = self.order.next();
        if let Some(view) = &mut self.view {
            view.sort(self.order);
        }
        self.table.select(Some(0));
    }

    fn draw(&mut self, frame: &mut Frame<'_>) {
        let head = self.head();
        let height = u16::try_from(head.lines.len()).unwrap_or(u16::MAX);
        let parts =
            [Constraint::Length(height), Constraint::Length(1), Constraint::Min(3), Constraint::Length(1)];
        let [above, _, middle, below] = Layout::vertical(parts).areas(frame.area());
        frame.render_widget(Paragraph::new(head), above);
        let help = format!("q quits, arrows scroll, s sorts (by {})", self.order.as_str());
        frame.render_widget(Paragraph::new(help).style(Style::new().add_modifier(Modifier::DIM)), below);
        if let Some(view) = &self.view {
            let is_outdated = self.error.is_some();
            frame.render_stateful_widget(table(view, is_outdated), middle, &mut self.table);
        }
    }

    fn head(&self) -> Text<'static> {
        let bad = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
        let mut lines: Vec<Line<'static>> = Vec::new();
        lines.extend(self.error.iter().map(|error| line(error, bad)));
        if self.error.is_some() && self.view.is_some() {
            lines.push(Line::styled("last known status:", Style::new().add_modifier(Modifier::DIM)));
        }
        let Some(view) = &self.view else { return lines.into() };
        let painted = |health: &view::Line| {
            let style = if health.is_bad { bad } else { Style::new().add_modifier(Modifier::BOLD) };
            line(&health.text, style)
        };
        lines.extend(view.health.iter().map(painted));
        lines.extend(view.summary.iter().map(|text| line(text, Style::new())));
        lines.into()
    }
}

/// Returns a line of untrusted text, escaped.
fn line(text: &str, style: Style) -> Line<'static> {
    Line::styled(escape(text).into_owned(), style)
}

/// Returns the table of subscriptions. Each column has the width of its cells; the last error gets the remaining width.
fn table(view: &View, is_outdated: bool) -> Table<'static> {
    let cells: Vec<[String; HEADINGS.len()]> =
        view.rows.iter().map(|row| row.cells().map(|cell| escape(&cell).into_owned())).collect();
    let width = |column: usize| {
        let widest =
            cells.iter().map(|row| row[column].chars().count()).chain([HEADINGS[column].len()]).max();
        u16::try_from(widest.unwrap_or(0).min(40)).unwrap_or(40)
    };
    let widths = (0..HEADINGS.len()).map(|column| match column {
        last if last == HEADINGS.len() - 1 => Constraint::Min(10),
        column => Constraint::Length(width(column)),
    });
    let style = |row: &view::Row| match row.of.state.as_str() {
        _ if is_outdated => Style::new().add_modifier(Modifier::DIM),
        "tripped" | "gone" => Style::new().fg(Color::Red),
        "disabled" => Style::new().add_modifier(Modifier::DIM),
        _ => Style::new(),
    };
    let rows = view.rows.iter().zip(cells.clone()).map(|(row, cells)| Row::new(cells).style(style(row)));
    Table::new(rows.collect::<Vec<_>>(), widths.collect::<Vec<_>>())
        .header(Row::new(HEADINGS).style(Style::new().add_modifier(Modifier::BOLD)))
        .column_spacing(2)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::observe::status::{Status, Subscription};

    fn text(page: &mut Page) -> String {
        let mut terminal = Terminal::new(TestBackend::new(140, 16)).unwrap();
        terminal.draw(|frame| page.draw(frame)).unwrap();
        let cells = terminal.backend().buffer().content().chunks(140);
        cells.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>() + "\n").collect()
    }

    fn view(names: &[&str]) -> Update {
        let of = |name: &&str| Subscription {
            name: (*name).into(),
            state: "open".into(),
            ..Subscription::default()
        };
        let subscriptions = names.iter().map(of).collect();
        Update::View(View::between(None, &Status { subscriptions, ..Status::default() }))
    }

    #[test]
    fn page_keeps_the_last_view_when_the_worker_stops() {
        let mut page = Page::default();
        page.update(view(&["siem", "chat\x1b[2J"]));
        let shown = text(&mut page);
        assert!(shown.contains("SUBSCRIPTION") && shown.contains("siem"), "{shown}");
        assert!(!shown.contains('\x1b'), "untrusted text must not control the terminal");
        page.update(Update::Error("no worker runs on here".into()));
        let shown = text(&mut page);
        assert!(shown.contains("no worker runs on here") && shown.contains("siem"), "{shown}");
    }

    #[test]
    fn keys_scroll_sort_and_quit() {
        let mut page = Page::default();
        page.update(view(&["a", "b", "c"]));
        let mut press = |code| {
            page.press(KeyEvent::new(code, KeyModifiers::NONE));
            (page.table.selected(), page.order, page.is_closed)
        };
        assert_eq!(press(KeyCode::Down).0, Some(1));
        assert_eq!(press(KeyCode::PageDown).0, Some(2));
        assert_eq!(press(KeyCode::Up).0, Some(1));
        assert_eq!(press(KeyCode::Char('s')).1, Order::Rate);
        assert!(press(KeyCode::Char('q')).2);
    }
}
