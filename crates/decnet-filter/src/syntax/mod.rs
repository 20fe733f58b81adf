//! The grammar: from the source to a syntax tree, in which names have no meaning yet.

mod lexer;
mod literal;
mod operators;
mod parser;

use decnet_core::limits::MAX_FILTER_BYTES;

pub(crate) use self::literal::Literal;
pub(crate) use self::operators::{Binary, Unary};
use crate::error::Mistake;

/// The maximum depth of brackets, arguments and conditions inside each other. CEL requires at least this depth.
pub const MAX_DEPTH: usize = 32;
/// The maximum number of nodes of a filter. Bounds the height of the tree too, and with it the recursion of its users.
pub const MAX_NODES: usize = 256;

/// An expression, at the offset of its operator or its first character.
#[derive(Debug)]
pub(crate) struct Expr<'s> {
    pub(crate) at: usize,
    pub(crate) kind: ExprKind<'s>,
}

#[derive(Debug)]
pub(crate) enum ExprKind<'s> {
    Literal(Literal),
    Name(&'s str),
    Field(Box<Expr<'s>>, &'s str),
    Index(Box<[Expr<'s>; 2]>),
    Call(Call<'s>),
    List(Vec<Expr<'s>>),
    Map(Vec<[Expr<'s>; 2]>),
    Unary(Unary, Box<Expr<'s>>),
    Binary(Binary, Box<[Expr<'s>; 2]>),
    /// Operands joined by `&&`.
    And(Vec<Expr<'s>>),
    /// Operands joined by `||`.
    Or(Vec<Expr<'s>>),
    /// Condition, value if true, value if false.
    Conditional(Box<[Expr<'s>; 3]>),
}

/// The call of a function or macro: `name(arguments)`, or `target.name(arguments)`.
#[derive(Debug)]
pub(crate) struct Call<'s> {
    pub(crate) name: &'s str,
    pub(crate) target: Option<Box<Expr<'s>>>,
    pub(crate) arguments: Vec<Expr<'s>>,
}

/// Parses a source.
pub(crate) fn parse(source: &str) -> Result<Expr<'_>, Mistake> {
    if source.len() > MAX_FILTER_BYTES {
        let problem = format!("the filter has {} bytes; the maximum is {MAX_FILTER_BYTES}", source.len());
        return Err(Mistake::new(0, problem));
    }
    if source.trim().is_empty() {
        return Err(Mistake::new(0, "the filter is empty; write `true` to accept every event"));
    }
    parser::parse(source)
}
