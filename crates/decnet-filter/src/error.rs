//! The errors of compilation and evaluation.

use std::fmt;

use decnet_core::text;

use crate::budget::{MAX_EVENT_STEPS, MAX_FILTER_STEPS};
use crate::node::{Node, Op};
use crate::value::Kind;

/// The maximum number of characters of the source that an error quotes at a time.
const MAX_QUOTED_CHARS: usize = 64;

/// A place in the source of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The number of the line, from 1.
    pub line: usize,
    /// The number of the character in its line, from 1.
    pub column: usize,
}

/// The reason why a source is not a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {problem}")]
pub struct FilterError {
    position: Position,
    problem: Box<str>,
}

/// The reason why a filter could not decide about an event. Contains nothing of the event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {problem}")]
pub struct EvaluationError {
    position: Position,
    problem: Box<str>,
}

/// A mistake at an offset of the source, in bytes.
#[derive(Debug)]
pub(crate) struct Mistake {
    pub(crate) at: usize,
    pub(crate) problem: Box<str>,
}

/// A failed evaluation. Borrows from the nodes, because most faults are absorbed by `&&` or `||` and never shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault<'n> {
    pub(crate) node: &'n Node,
    pub(crate) why: Why,
}

/// The reason for a [`Fault`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum Why {
    /// The field or element does not exist.
    Missing,
    /// The event has no body.
    Erased,
    /// The operation does not apply to an operand of this kind.
    Operand(Kind),
    /// The operation does not apply to operands of these kinds.
    Operands(Kind, Kind),
    /// The text is not an IP address.
    NotAnAddress,
    /// The divisor is 0.
    DivisionByZero,
    /// The result exceeds 128 bits.
    Overflow,
    /// The result of the filter is not a bool.
    Result(Kind),
    /// The filter takes too many steps.
    FilterSteps,
    /// All filters of the event take too many steps.
    EventSteps,
}

impl Position {
    /// Returns the position of an offset in bytes.
    fn of(source: &str, at: usize) -> Self {
        let before = source.get(..at).unwrap_or(source);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Self { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }
}

impl FilterError {
    pub(crate) fn new(source: &str, Mistake { at, problem }: Mistake) -> Self {
        Self { position: Position::of(source, at), problem }
    }

    /// Returns where the mistake is.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }
}

impl EvaluationError {
    pub(crate) fn new(source: &str, fault: &Fault<'_>) -> Self {
        Self { position: Position::of(source, fault.node.at), problem: fault.problem().into() }
    }

    /// Returns the place of the operation that failed.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }
}

impl Fault<'_> {
    /// Returns whether the steps are used up. Such a fault is never absorbed.
    pub(crate) fn is_exhaustion(&self) -> bool {
        matches!(self.why, Why::FilterSteps | Why::EventSteps)
    }

    fn problem(&self) -> String {
        let symbol = self.node.symbol();
        match self.why {
            Why::Missing => missing(self.node),
            Why::Erased => format!("`{symbol}` cannot be read, because the event has been erased"),
            Why::Operand(kind) => operand(self.node, kind),
            Why::Operands(left, right) => format!("`{symbol}` does not apply to {left} and {right}"),
            Why::NotAnAddress => "the first argument of `cidr` is not an IP address".into(),
            Why::DivisionByZero => format!("the right side of `{symbol}` is 0; test it first"),
            Why::Overflow => format!("the result of `{symbol}` exceeds 128 bits"),
            Why::Result(kind) => format!("the result is {kind}, but a filter must be true or false"),
            Why::FilterSteps => format!(
                "the filter needs more than {MAX_FILTER_STEPS} steps for this event; test cheaper conditions first"
            ),
            Why::EventSteps => format!(
                "the filters together need more than {MAX_EVENT_STEPS} steps for this event; simplify those with \
                 comprehensions or `matches`"
            ),
        }
    }
}

fn missing(node: &Node) -> String {
    let path = path(node).unwrap_or_else(|| node.symbol().into());
    match &node.op {
        Op::Field(_, _) => format!("`{path}` does not exist; test it first with `has({path})`"),
        _ => format!("`{path}` does not exist"),
    }
}

fn operand(node: &Node, kind: Kind) -> String {
    match &node.op {
        Op::Field(parent, name) => match path(parent) {
            Some(path) => format!("`{path}` is {kind}, which does not have fields such as `{name}`"),
            None => format!("{kind} does not have fields such as `{name}`"),
        },
        _ => format!("`{}` does not apply to {kind}", node.symbol()),
    }
}

/// Returns the source form of a variable with its selected fields; `None` for other nodes.
fn path(node: &Node) -> Option<String> {
    match &node.op {
        Op::Variable(variable) => Some(variable.name().into()),
        Op::Item(name) => Some(quote(name)),
        Op::Field(parent, name) => Some(format!("{}.{}", path(parent)?, quote(name))),
        Op::Index(operands) => Some(format!("{}[…]", path(&operands[0])?)),
        _ => None,
    }
}

impl Mistake {
    pub(crate) fn new(at: usize, problem: impl Into<Box<str>>) -> Self {
        Self { at, problem: problem.into() }
    }
}

/// Returns the beginning of a part of the source, safe to display.
pub(crate) fn quote(part: &str) -> String {
    let end = part.char_indices().nth(MAX_QUOTED_CHARS).map(|(at, _)| at);
    let shown = text::escape(&part[..end.unwrap_or(part.len())]);
    format!("{shown}{}", if end.is_some() { "…" } else { "" })
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}
