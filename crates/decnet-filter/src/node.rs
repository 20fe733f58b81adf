//! Compiled expressions: names are resolved, and patterns and networks are parsed.

use ipnet::IpNet;
use regex_lite::Regex;

use crate::syntax::{Binary, Unary};
use crate::value::Value;

/// An operation, at its offset in the source.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) at: usize,
    pub(crate) op: Op,
}

#[derive(Debug)]
pub(crate) enum Op {
    Constant(Value<'static>),
    Variable(Variable),
    /// The element in a comprehension. Only one comprehension surrounds it, so its name is for messages only.
    Item(Box<str>),
    Field(Box<Node>, Box<str>),
    Index(Box<[Node; 2]>),
    /// Whether the field exists.
    Has(Box<Node>, Box<str>),
    List(Box<[Node]>),
    /// The fields, sorted by key.
    Map(Box<[(Box<str>, Node)]>),
    Unary(Unary, Box<Node>),
    Binary(Binary, Box<[Node; 2]>),
    And(Box<[Node]>),
    Or(Box<[Node]>),
    Conditional(Box<[Node; 3]>),
    Lower(Box<Node>),
    Size(Box<Node>),
    TextTest(TextTest, Box<[Node; 2]>),
    Matches(Box<Node>, Pattern),
    Cidr(Box<Node>, IpNet),
    Comprehension(Box<Comprehension>),
}

/// A variable of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variable {
    Id,
    Payload,
    Severity,
    Topic,
    Ts,
    Type,
}

/// A function that tests whether a string contains, begins with or ends with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextTest {
    Contains,
    EndsWith,
    StartsWith,
}

/// A compiled regular expression.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) regex: Regex,
    /// The steps that the search takes per byte of text.
    pub(crate) steps_per_byte: usize,
}

/// A macro that evaluates its body for each element of a list, or each key of a map.
#[derive(Debug)]
pub(crate) struct Comprehension {
    pub(crate) kind: ComprehensionKind,
    pub(crate) range: Node,
    pub(crate) body: Node,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ComprehensionKind {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

impl Variable {
    pub(crate) const ALL: [Self; 6] =
        [Self::Id, Self::Payload, Self::Severity, Self::Topic, Self::Ts, Self::Type];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Payload => "payload",
            Self::Severity => "severity",
            Self::Topic => "topic",
            Self::Ts => "ts",
            Self::Type => "type",
        }
    }
}

impl TextTest {
    pub(crate) const ALL: [Self; 3] = [Self::Contains, Self::EndsWith, Self::StartsWith];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Contains => "contains",
            Self::EndsWith => "endsWith",
            Self::StartsWith => "startsWith",
        }
    }
}

impl ComprehensionKind {
    pub(crate) const ALL: [Self; 5] = [Self::All, Self::Exists, Self::ExistsOne, Self::Filter, Self::Map];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Exists => "exists",
            Self::ExistsOne => "exists_one",
            Self::Filter => "filter",
            Self::Map => "map",
        }
    }
}

impl Node {
    pub(crate) fn new(at: usize, op: Op) -> Self {
        Self { at, op }
    }

    /// Returns the symbol or the name of the operation, for messages.
    pub(crate) fn symbol(&self) -> &str {
        match &self.op {
            Op::Constant(_) => "value",
            Op::Variable(variable) => variable.name(),
            Op::Item(name) | Op::Field(_, name) => name,
            Op::Index(_) | Op::List(_) => "[]",
            Op::Has(..) => "has",
            Op::Map(_) => "{}",
            Op::Unary(operator, _) => operator.symbol(),
            Op::Binary(operator, _) => operator.symbol(),
            Op::And(_) => "&&",
            Op::Or(_) => "||",
            Op::Conditional(_) => "?",
            Op::Lower(_) => "lower",
            Op::Size(_) => "size",
            Op::TextTest(test, _) => test.name(),
            Op::Matches(..) => "matches",
            Op::Cidr(..) => "cidr",
            Op::Comprehension(comprehension) => comprehension.kind.name(),
        }
    }
}
