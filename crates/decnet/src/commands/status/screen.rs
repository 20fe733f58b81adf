//! The page on a terminal: drawn anew with each look and each key.

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

/// How long a key is waited for before a new look is looked for.
const POLL: Duration = Duration::from_millis(100);
/// Rows that a page key moves.
const PAGE: usize = 10;

/// What a look brought.
pub(super) enum Seen {
    View(View),
    /// No answer; why.
    Nothing(String),
}

/// What is on the page.
#[derive(Default)]
struct Page {
    view: Option<View>,
    /// Why the view is an old one.
    trouble: Option<String>,
    order: Order,
    table: TableState,
    is_over: bool,
}

/// Draws until a key or `stop` ends it; the terminal is as it was then.
pub(super) fn run(seen: &Receiver<Seen>, stop: &CancellationToken) -> io::Result<()> {
    let mut terminal = ratatui::try_init()?;
    let result = draw(&mut terminal, seen, stop);
    ratatui::try_restore()?;
    result
}

fn draw(terminal: &mut DefaultTerminal, seen: &Receiver<Seen>, stop: &CancellationToken) -> io::Result<()> {
    let mut page = Page::default();
    while !page.is_over && !stop.is_cancelled() {
        seen.try_iter().for_each(|seen| page.take(seen));
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
    fn take(&mut self, seen: Seen) {
        match seen {
            Seen::View(mut view) => {
                view.sort(self.order);
                (self.view, self.trouble) = (Some(view), None);
            }
            Seen::Nothing(trouble) => self.trouble = Some(trouble),
        }
    }

    fn press(&mut self, key: KeyEvent) {
        let rows = self.view.as_ref().map_or(0, |view| view.rows.len());
        let at = self.table.selected().unwrap_or(0);
        let to = match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                return self.is_over = true;
            }
            KeyCode::Char('q') | KeyCode::Esc => return self.is_over = true,
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
            let is_old = self.trouble.is_some();
            frame.render_stateful_widget(table(view, is_old), middle, &mut self.table);
        }
    }

    fn head(&self) -> Text<'static> {
        let bad = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
        let mut lines: Vec<Line<'static>> = Vec::new();
        lines.extend(self.trouble.iter().map(|trouble| line(trouble, bad)));
        if self.trouble.is_some() && self.view.is_some() {
            lines.push(Line::styled("what is below was seen last", Style::new().add_modifier(Modifier::DIM)));
        }
        let Some(view) = &self.view else { return lines.into() };
        let painted = |shown: &view::Line| {
            let style = if shown.is_bad { bad } else { Style::new().add_modifier(Modifier::BOLD) };
            line(&shown.text, style)
        };
        lines.extend(view.health.iter().map(painted));
        lines.extend(view.summary.iter().map(|text| line(text, Style::new())));
        lines.into()
    }
}

/// A line of what others wrote, escaped.
fn line(text: &str, style: Style) -> Line<'static> {
    Line::styled(escape(text).into_owned(), style)
}

/// The columns are as wide as they need to be, and the last error has the rest.
fn table(view: &View, is_old: bool) -> Table<'static> {
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
        _ if is_old => Style::new().add_modifier(Modifier::DIM),
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

    fn view(names: &[&str]) -> Seen {
        let of = |name: &&str| Subscription {
            name: (*name).into(),
            state: "open".into(),
            ..Subscription::default()
        };
        let subscriptions = names.iter().map(of).collect();
        Seen::View(View::between(None, &Status { subscriptions, ..Status::default() }))
    }

    #[test]
    fn the_page_shows_every_subscription_and_keeps_the_last_one_when_the_worker_goes() {
        let mut page = Page::default();
        page.take(view(&["siem", "chat\x1b[2J"]));
        let shown = text(&mut page);
        assert!(shown.contains("SUBSCRIPTION") && shown.contains("siem"), "{shown}");
        assert!(!shown.contains('\x1b'), "what others wrote does not rule the terminal");
        page.take(Seen::Nothing("no worker runs on here".into()));
        let shown = text(&mut page);
        assert!(shown.contains("no worker runs on here") && shown.contains("siem"), "{shown}");
    }

    #[test]
    fn keys_scroll_within_the_rows_sort_and_quit() {
        let mut page = Page::default();
        page.take(view(&["a", "b", "c"]));
        let mut press = |code| {
            page.press(KeyEvent::new(code, KeyModifiers::NONE));
            (page.table.selected(), page.order, page.is_over)
        };
        assert_eq!(press(KeyCode::Down).0, Some(1));
        assert_eq!(press(KeyCode::PageDown).0, Some(2));
        assert_eq!(press(KeyCode::Up).0, Some(1));
        assert_eq!(press(KeyCode::Char('s')).1, Order::Rate);
        assert!(press(KeyCode::Char('q')).2);
    }
}
