//! Text for people. Everything is escaped, so that only the program's own colours and line ends control a terminal.

use std::ops::AddAssign;

use clap::ColorChoice;
use decnet_core::text::escape;

/// Lines for people. A string is appended to the current line with hidden characters and line ends escaped; colours come
/// only from [`Paint`], line ends only from [`Text::end_line`] and [`Text::line`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Text(String);

impl Text {
    /// Ends the current line.
    pub(crate) fn end_line(&mut self) {
        self.0.push('\n');
    }

    /// Appends `last` and ends the line.
    pub(crate) fn line(&mut self, last: impl Into<Self>) {
        *self += last;
        self.end_line();
    }

    /// Adds a line with a field's name and value.
    pub(crate) fn field(&mut self, paint: Paint, name: &str, value: &str) {
        *self += paint.faint(&format!("{name:<13}"));
        *self += " ";
        self.line(value);
    }

    /// Returns the text with colours.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: AsRef<str>> From<T> for Text {
    fn from(part: T) -> Self {
        Self(escape(part.as_ref()).into_owned())
    }
}

impl<T: Into<Self>> AddAssign<T> for Text {
    fn add_assign(&mut self, part: T) {
        self.0 += &part.into().0;
    }
}

/// Returns whether a stream gets colours. `Auto` depends on whether it is a terminal and on `NO_COLOR`.
pub(crate) fn has_colors(choice: ColorChoice, no_color: bool, is_terminal: bool) -> bool {
    match choice {
        ColorChoice::Auto => is_terminal && !no_color,
        ColorChoice::Always => true,
        ColorChoice::Never => false,
    }
}

/// A switch for colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paint(bool);

impl Paint {
    pub(crate) fn new(colors: bool) -> Self {
        Self(colors)
    }

    pub(crate) fn good(self, text: &str) -> Text {
        self.with("32", text)
    }

    pub(crate) fn bad(self, text: &str) -> Text {
        self.with("31", text)
    }

    pub(crate) fn doubtful(self, text: &str) -> Text {
        self.with("33", text)
    }

    pub(crate) fn faint(self, text: &str) -> Text {
        self.with("2", text)
    }

    pub(crate) fn strong(self, text: &str) -> Text {
        self.with("1", text)
    }

    fn with(self, code: &str, text: &str) -> Text {
        let text = escape(text);
        Text(if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_programs_colours_and_line_ends_are_left() {
        let mut text = Text::from("\x1b[2J\u{202e}a\nb ");
        text += Paint(true).bad("\x1b[0mc\n");
        text.end_line();
        text += String::from("é\u{200b}");
        assert_eq!(text.as_str(), "\\u{1b}[2J\\u{202e}a\\nb \x1b[31m\\u{1b}[0mc\\n\x1b[0m\né\\u{200b}");
    }

    #[test]
    fn colours_follow_option_and_terminal() {
        use ColorChoice::{Always, Auto, Never};
        assert!(has_colors(Auto, false, true));
        assert!(!has_colors(Auto, true, true) && !has_colors(Auto, false, false));
        assert!(has_colors(Always, true, false) && !has_colors(Never, false, true));
        assert_eq!(Paint(false).bad("x").as_str(), "x");
    }
}
