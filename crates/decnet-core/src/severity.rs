//! The severity of events, and the table from which it follows.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits::MAX_SEVERITY_ROWS;
use crate::text;
use crate::topic::{Pattern, PatternError, matches};

/// The maximum number of characters of a rejected text that an error shows.
const MAX_SHOWN_CHARS: usize = 64;

/// The severity of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// No sign of an attack.
    Info,
    /// Activity of an attacker that needs no reaction.
    Low,
    /// Activity that deserves a look.
    Medium,
    /// Activity that needs a reaction.
    High,
    /// Activity that needs a reaction at once.
    Critical,
}

/// A text that is not the name of a [`Severity`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a severity; use info, low, medium, high or critical")]
pub struct ParseSeverityError(Box<str>);

/// An ordered list of topic patterns with their severities. The first row whose pattern matches an event's topic decides; an event
/// without a matching row has [`SeverityTable::FALLBACK`].
///
/// The text form, for [`FromStr`] and [`fmt::Display`], has one row per line: `canary.*.triggered = critical`. Blank lines and
/// lines that begin with `#` are ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeverityTable(Box<[(Pattern, Severity)]>);

/// The reason why a table is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct SeverityTableError {
    /// The number of the line, from 1.
    line: usize,
    problem: RowError,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum RowError {
    #[error("`{0}` is not a row; write `pattern = severity`, such as `canary.*.triggered = critical`")]
    Syntax(Box<str>),
    #[error("invalid pattern `{0}`: {1}")]
    Pattern(Box<str>, PatternError),
    #[error(transparent)]
    Severity(ParseSeverityError),
    #[error("`{0}` never applies, because line {1} matches the same topics; move it up, or remove it")]
    Unreachable(Pattern, usize),
    #[error("a table has at most {MAX_SEVERITY_ROWS} rows; combine rows with wildcards")]
    TooManyRows,
}

impl Severity {
    /// Every severity, in ascending order.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// Returns the name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl SeverityTable {
    /// The severity of an event that no row matches.
    pub const FALLBACK: Severity = Severity::Low;

    /// The rows for DECNET's topics. What the honeypot does by itself is `info`.
    const DEFAULT_ROWS: [(&str, Severity); 12] = [
        ("canary.*.triggered", Severity::Critical),
        ("canary.>", Severity::Info),
        ("credential.>", Severity::High),
        ("ttp.rule.fired.>", Severity::High),
        ("ttp.tagged", Severity::Medium),
        ("attacker.session.>", Severity::Medium),
        ("attacker.observed", Severity::Low),
        ("decky.*.traffic", Severity::Low),
        ("decky.>", Severity::Info),
        ("topology.>", Severity::Info),
        ("orchestrator.>", Severity::Info),
        ("system.>", Severity::Info),
    ];

    /// Returns the severity of events with this topic.
    #[must_use]
    pub fn of(&self, topic: &str) -> Severity {
        let row = self.rows().find(|(pattern, _)| matches(pattern.as_str(), topic));
        row.map_or(Self::FALLBACK, |(_, severity)| severity)
    }

    /// Returns the rows, in order.
    pub fn rows(&self) -> impl Iterator<Item = (&Pattern, Severity)> {
        self.0.iter().map(|(pattern, severity)| (pattern, *severity))
    }
}

/// Parses one row; `None` for a line without a row.
fn row(line: &str) -> Result<Option<(Pattern, Severity)>, RowError> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    // A pattern may contain `=`, the name of a severity does not.
    let (pattern, severity) = line.rsplit_once('=').ok_or_else(|| RowError::Syntax(shown(line)))?;
    let pattern = pattern.trim_end();
    let severity = severity.trim_start().parse().map_err(RowError::Severity)?;
    let pattern = Pattern::new(pattern).map_err(|error| RowError::Pattern(shown(pattern), error))?;
    Ok(Some((pattern, severity)))
}

/// Returns the beginning of a text, safe to display.
fn shown(text: &str) -> Box<str> {
    let end = text.char_indices().nth(MAX_SHOWN_CHARS).map_or(text.len(), |(at, _)| at);
    text::escape(&text[..end]).into()
}

impl Default for SeverityTable {
    fn default() -> Self {
        let pattern = |text| Pattern::new(text).expect("the default patterns are valid");
        Self(Self::DEFAULT_ROWS.map(|(text, severity)| (pattern(text), severity)).into())
    }
}

impl FromStr for SeverityTable {
    type Err = SeverityTableError;

    fn from_str(text: &str) -> Result<Self, SeverityTableError> {
        let mut rows = Vec::new();
        let mut lines = Vec::new();
        for (line, row_text) in (1..).zip(text.lines()) {
            let error = |problem| SeverityTableError { line, problem };
            let Some((pattern, severity)) = row(row_text).map_err(error)? else { continue };
            if rows.len() == MAX_SEVERITY_ROWS {
                return Err(error(RowError::TooManyRows));
            }
            if let Some(earlier) =
                rows.iter().position(|(earlier, _): &(Pattern, _)| earlier.covers(&pattern))
            {
                return Err(error(RowError::Unreachable(pattern, lines[earlier])));
            }
            rows.push((pattern, severity));
            lines.push(line);
        }
        Ok(Self(rows.into()))
    }
}

impl fmt::Display for SeverityTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rows().try_for_each(|(pattern, severity)| writeln!(f, "{pattern} = {severity}"))
    }
}

impl FromStr for Severity {
    type Err = ParseSeverityError;

    fn from_str(text: &str) -> Result<Self, ParseSeverityError> {
        let found = Self::ALL.into_iter().find(|severity| severity.as_str() == text);
        found.ok_or_else(|| ParseSeverityError(shown(text)))
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(table: &str) -> String {
        table.parse::<SeverityTable>().unwrap_err().to_string()
    }

    #[test]
    fn severities_are_ordered_and_have_names() {
        assert!(Severity::ALL.is_sorted());
        for severity in Severity::ALL {
            assert_eq!(severity.to_string().parse(), Ok(severity));
            assert_eq!(serde_json::to_value(severity).unwrap(), severity.as_str());
        }
        let expected = "`High` is not a severity; use info, low, medium, high or critical";
        assert_eq!("High".parse::<Severity>().unwrap_err().to_string(), expected);
    }

    #[test]
    fn default_table_rates_the_topics_of_decnet() {
        let table = SeverityTable::default();
        for (topic, expected) in [
            ("canary.9f2c.triggered", Severity::Critical),
            ("canary.9f2c.placed", Severity::Info),
            ("credential.captured", Severity::High),
            ("credential.reuse.detected", Severity::High),
            ("ttp.rule.fired.T1110", Severity::High),
            ("ttp.rule.suppressed", Severity::Low),
            ("attacker.session.ended", Severity::Medium),
            ("attacker.observed", Severity::Low),
            ("attacker.intel.enriched", Severity::Low),
            ("decky.web-01.traffic", Severity::Low),
            ("decky.web-01.state", Severity::Info),
            ("system.webhook.dead", Severity::Info),
            ("other", Severity::Low),
        ] {
            assert_eq!(table.of(topic), expected, "{topic}");
        }
    }

    #[test]
    fn first_matching_row_decides() {
        let table: SeverityTable =
            "a.b = high\r\n\n# all others\n  a.* =info  \na=b = low\n".parse().unwrap();
        assert_eq!(table.of("a.b"), Severity::High);
        assert_eq!(table.of("a.c"), Severity::Info);
        assert_eq!(table.of("a=b"), Severity::Low);
        assert_eq!(table.of("b"), SeverityTable::FALLBACK);
        assert_eq!(table.to_string(), "a.b = high\na.* = info\na=b = low\n");
    }

    #[test]
    fn errors_name_the_line_and_the_remedy() {
        let syntax = "line 2: `a.b high` is not a row; write `pattern = severity`, such as `canary.*.triggered = \
                      critical`";
        assert_eq!(error("\na.b high"), syntax);
        let severity = "line 1: `hgh` is not a severity; use info, low, medium, high or critical";
        assert_eq!(error("a.b = hgh"), severity);
        let pattern = "line 1: invalid pattern `a..b`: empty token: remove the surplus dot";
        assert_eq!(error("a..b = low"), pattern);
        let unreachable = "line 4: `a.b` never applies, because line 2 matches the same topics; move it up, or \
                           remove it";
        assert_eq!(error("# x\na.> = low\nb = low\na.b = high"), unreachable);
        assert!(error(&format!("a.b = {}", "\u{1b}x".repeat(500))).len() < 900);
    }

    #[test]
    fn number_of_rows_is_bounded() {
        let rows = |count: usize| (0..count).map(|row| format!("a.{row} = low\n")).collect::<String>();
        assert!(rows(MAX_SEVERITY_ROWS).parse::<SeverityTable>().is_ok());
        let expected = "line 257: a table has at most 256 rows; combine rows with wildcards";
        assert_eq!(error(&rows(MAX_SEVERITY_ROWS + 1)), expected);
    }

    proptest! {
        #[test]
        fn tables_round_trip_through_their_text(rows in proptest::collection::vec("[a-c*]{1}(\\.[a-c*>]){0,2} = (info|critical)\n", 0..8)) {
            if let Ok(table) = rows.concat().parse::<SeverityTable>() {
                prop_assert_eq!(table.to_string().parse(), Ok(table));
            }
        }

        #[test]
        fn parse_never_panics(text: String) {
            let _ = text.parse::<SeverityTable>();
        }
    }
}
