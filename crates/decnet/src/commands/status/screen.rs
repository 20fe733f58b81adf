//! The full-screen page on a terminal, redrawn after each update and each key.

use std::io::{self, stdout};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::style::{Print, StyledContent, Stylize};
use crossterm::terminal::{
    self, BeginSynchronizedUpdate, Clear, ClearType, DisableLineWrap, EnableLineWrap, EndSynchronizedUpdate,
    EnterAlternateScreen, LeaveAlternateScreen,
};
use crossterm::{execute, queue};
use decnet_core::text::escape;
use tokio_util::sync::CancellationToken;

use super::view::{HEADINGS, Order, Row, View};
use crate::output::Table;

/// The time to wait for a key before checking for an update.
const POLL: Duration = Duration::from_millis(100);
/// The number of rows that a page key scrolls.
const PAGE: usize = 10;
/// The maximum width of every column but the last, in characters.
const MAX_WIDTH: usize = 40;
/// The minimum width of the last column, unless the terminal is too narrow for it.
const MIN_LAST_WIDTH: usize = 10;

/// An update of the page.
pub(super) enum Update {
    View(View),
    /// The reason why there is no new view.
    Error(String),
}

/// A line of the page, escaped.
type Line = StyledContent<String>;

/// The content of the page.
#[derive(Default)]
struct Page {
    view: Option<View>,
    /// The reason why the view is outdated.
    error: Option<String>,
    order: Order,
    selected: Option<usize>,
    /// The first row that is shown.
    top: usize,
    is_closed: bool,
}

/// Restores the terminal when dropped.
struct Screen;

impl Drop for Screen {
    fn drop(&mut self) {
        // There is no other place to report an error.
        drop(execute!(stdout(), Show, EnableLineWrap, LeaveAlternateScreen));
        drop(terminal::disable_raw_mode());
    }
}

/// Shows the page until a key or `stop` closes it, then restores the terminal.
pub(super) fn run(updates: &Receiver<Update>, stop: &CancellationToken) -> io::Result<()> {
    let _screen = Screen;
    terminal::enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, DisableLineWrap, Hide)?;
    let mut page = Page::default();
    let mut shown = Vec::new();
    while !page.is_closed && !stop.is_cancelled() {
        updates.try_iter().for_each(|update| page.update(update));
        let (width, height) = terminal::size()?;
        let lines = page.lines(width.into(), height.into());
        if lines != shown {
            write(&lines)?;
            shown = lines;
        }
        if event::poll(POLL)? {
            match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => page.press(key),
                Event::Resize(..) => shown.clear(),
                _ => {}
            }
        }
    }
    Ok(())
}

fn write(lines: &[Line]) -> io::Result<()> {
    let mut out = stdout().lock();
    queue!(out, BeginSynchronizedUpdate)?;
    for (row, line) in (0..).zip(lines) {
        queue!(out, MoveTo(0, row), Clear(ClearType::CurrentLine), Print(line))?;
    }
    execute!(out, EndSynchronizedUpdate)
}

impl Page {
    fn update(&mut self, update: Update) {
        match update {
            Update::View(mut view) => {
                view.sort(self.order);
                self.selected = self.selected.map(|at| at.min(view.rows.len().saturating_sub(1)));
                (self.view, self.error) = (Some(view), None);
            }
            Update::Error(error) => self.error = Some(error),
        }
    }

    fn press(&mut self, key: KeyEvent) {
        let rows = self.view.as_ref().map_or(0, |view| view.rows.len());
        let at = self.selected.unwrap_or(0);
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
        self.selected = Some(to.min(rows.saturating_sub(1)));
    }

    fn sort(&mut self) {
        self.order = self.order.next();
        if let Some(view) = &mut self.view {
            view.sort(self.order);
        }
        self.selected = Some(0);
    }

    /// Returns the lines of a terminal of this size.
    fn lines(&mut self, width: usize, height: usize) -> Vec<Line> {
        let mut lines = self.head();
        lines.push(String::new().stylize());
        let height = height.saturating_sub(1);
        let mut table = self.table(width).into_iter();
        lines.extend(table.next());
        // The selected row must be among those that are shown.
        let room = height.saturating_sub(lines.len()).max(1);
        let selected = self.selected.unwrap_or(0);
        self.top = self.top.clamp((selected + 1).saturating_sub(room), selected);
        lines.extend(table.skip(self.top));
        lines.resize(height, String::new().stylize());
        lines.push(format!("q quits, arrows scroll, s sorts (by {})", self.order.as_str()).dim());
        let cut = |line: &Line| StyledContent::new(*line.style(), format!("{:.width$}", line.content()));
        lines.iter().map(cut).collect()
    }

    fn head(&self) -> Vec<Line> {
        let line = |text: &String| escape(text).into_owned().stylize();
        let mut lines: Vec<Line> = self.error.iter().map(|error| line(error).red().bold()).collect();
        let Some(view) = &self.view else { return lines };
        if self.error.is_some() {
            lines.push(String::from("last known status:").dim());
        }
        let painted = view.health.iter().map(|health| {
            let text = line(&health.text).bold();
            if health.is_bad { text.red() } else { text }
        });
        lines.extend(painted);
        lines.extend(view.summary.iter().map(line));
        lines
    }

    /// Returns the headings and a line for each subscription. A column is as wide as its cells; the last error gets the remaining
    /// width.
    fn table(&self, width: usize) -> Vec<Line> {
        let Some(view) = &self.view else { return Vec::new() };
        let table = Table::new(HEADINGS, view.rows.iter().map(Row::cells));
        let mut lines = table.lines(fit(table.widths(), width)).map(Stylize::stylize);
        let headings = lines.next().map(Stylize::bold);
        let rows = view.rows.iter().zip(lines).enumerate().map(|(index, (row, line))| {
            let line = match row.of.state.as_str() {
                _ if self.error.is_some() => line.dim(),
                "tripped" | "gone" | "held" => line.red(),
                "disabled" => line.dim(),
                _ => line,
            };
            if self.selected == Some(index) { line.reverse() } else { line }
        });
        headings.into_iter().chain(rows).collect()
    }
}

/// Returns the widths of columns in a terminal of this width. If they do not fit, the widest columns are narrowed.
fn fit(widths: [usize; HEADINGS.len()], terminal: usize) -> [usize; HEADINGS.len()] {
    let mut widths = widths.map(|width| width.min(MAX_WIDTH));
    let (last, others) = widths.split_last_mut().expect("there are headings");
    let left = |others: &[usize]| terminal.saturating_sub(others.iter().map(|width| width + 2).sum());
    while left(others) < MIN_LAST_WIDTH
        && let Some(widest) = others.iter_mut().max().filter(|widest| **widest > 1)
    {
        *widest -= 1;
    }
    *last = left(others);
    widths
}

#[cfg(test)]
mod tests {
    use super::*;
    use decnet_telemetry::status::{Status, Subscription};

    fn text(page: &mut Page) -> String {
        let lines = page.lines(140, 16);
        assert_eq!(lines.len(), 16);
        lines.iter().map(|line| line.content().to_owned() + "\n").collect()
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
        page.update(Update::Error("no worker is running on here".into()));
        let shown = text(&mut page);
        assert!(shown.contains("no worker is running on here") && shown.contains("siem"), "{shown}");
    }

    #[test]
    fn keys_scroll_sort_and_quit() {
        let mut page = Page::default();
        page.update(view(&["a", "b", "c"]));
        let mut press = |code| {
            page.press(KeyEvent::new(code, KeyModifiers::NONE));
            (page.selected, page.order, page.is_closed)
        };
        assert_eq!(press(KeyCode::Down).0, Some(1));
        assert_eq!(press(KeyCode::PageDown).0, Some(2));
        assert_eq!(press(KeyCode::Up).0, Some(1));
        assert_eq!(press(KeyCode::Char('s')).1, Order::Rate);
        assert!(press(KeyCode::Char('q')).2);
    }

    #[test]
    fn selected_row_is_shown_on_a_small_terminal() {
        let mut page = Page::default();
        page.update(view(&["a", "b", "c", "d", "e", "f"]));
        let mut shown_after = |code| {
            page.press(KeyEvent::new(code, KeyModifiers::NONE));
            let head = page.head().len() + 2;
            let lines = page.lines(90, head + 3);
            assert!(lines.len() == head + 3 && lines.iter().all(|line| line.content().chars().count() <= 90));
            lines[head..].iter().map(|line| line.content()[..1].to_owned()).collect::<String>()
        };
        assert_eq!(shown_after(KeyCode::Down), "abq");
        assert_eq!(shown_after(KeyCode::Down), "bcq");
        assert_eq!(shown_after(KeyCode::End), "efq");
        assert_eq!(shown_after(KeyCode::Up), "efq");
        assert_eq!(shown_after(KeyCode::Home), "abq");
    }
}
