//! The recursive-descent parser of the grammar in the CEL specification, section "Syntax".

use super::lexer::{Lexer, Token};
use super::{Binary, Call, Expr, ExprKind, Literal, MAX_DEPTH, MAX_NODES, Unary};
use crate::error::{Mistake, quote};

/// Names that CEL reserves.
const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "namespace",
    "package",
    "return",
    "var",
    "void",
    "while",
];

/// Operators of other languages, and what CEL has instead.
const FOREIGN: [(&str, &str); 6] = [
    ("and", "&&"),
    ("or", "||"),
    ("not", "!"),
    ("is", "=="),
    ("if", "condition ? a : b"),
    ("contains", "topic.contains(\"text\")"),
];

/// Parses a whole source.
pub(super) fn parse(source: &str) -> Result<Expr<'_>, Mistake> {
    let mut parser = Parser { lexer: Lexer::new(source), at: 0, token: Token::End, nodes: 0, depth: 0 };
    parser.advance()?;
    let expr = parser.expression()?;
    if parser.token != Token::End { Err(parser.unexpected("an operator")) } else { Ok(expr) }
}

struct Parser<'s> {
    lexer: Lexer<'s>,
    /// The next token and its offset.
    token: Token<'s>,
    at: usize,
    nodes: usize,
    depth: usize,
}

impl<'s> Parser<'s> {
    /// Parses `or`, or `or ? or : expression`. Every recursion of the parser passes here.
    fn expression(&mut self) -> Result<Expr<'s>, Mistake> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Mistake::new(self.at, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let mut expr = self.or()?;
        let at = self.at;
        if self.consume("?")? {
            let accepted = self.or()?;
            self.expect(":")?;
            let rejected = self.expression()?;
            expr = self.node(at, ExprKind::Conditional(Box::new([expr, accepted, rejected])))?;
        }
        self.depth -= 1;
        Ok(expr)
    }

    fn or(&mut self) -> Result<Expr<'s>, Mistake> {
        self.joined("||", Self::and, ExprKind::Or)
    }

    fn and(&mut self) -> Result<Expr<'s>, Mistake> {
        self.joined("&&", |parser| parser.binary(0), ExprKind::And)
    }

    /// Parses operands that are joined by a logical operator, as one node.
    fn joined(
        &mut self,
        symbol: &'static str,
        operand: impl Fn(&mut Self) -> Result<Expr<'s>, Mistake>,
        kind: fn(Vec<Expr<'s>>) -> ExprKind<'s>,
    ) -> Result<Expr<'s>, Mistake> {
        let first = operand(self)?;
        let at = self.at;
        if self.token != Token::Symbol(symbol) {
            return Ok(first);
        }
        let mut operands = vec![first];
        while self.consume(symbol)? {
            operands.push(operand(self)?);
        }
        self.node(at, kind(operands))
    }

    /// Parses operands that are joined by binary operators of this level or a stronger one.
    fn binary(&mut self, level: usize) -> Result<Expr<'s>, Mistake> {
        let Some(operators) = Binary::LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = operators.iter().find(|operator| self.is_next(operator.symbol())) {
            let at = self.at;
            self.advance()?;
            let right = self.binary(level + 1)?;
            left = self.node(at, ExprKind::Binary(*operator, Box::new([left, right])))?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr<'s>, Mistake> {
        let mut operators = Vec::new();
        while let Some(operator) =
            [Unary::Not, Unary::Negate].into_iter().find(|each| self.is_next(each.symbol()))
        {
            operators.push((self.at, operator));
            self.advance()?;
        }
        let operand = self.member()?;
        operators.into_iter().rev().try_fold(operand, |operand, (at, operator)| {
            match (operator, operand.kind) {
                (Unary::Negate, ExprKind::Literal(Literal::Int(value))) => {
                    Ok(Expr { at, kind: ExprKind::Literal(Literal::Int(-value)) })
                }
                (Unary::Negate, ExprKind::Literal(Literal::Double(value))) => {
                    Ok(Expr { at, kind: ExprKind::Literal(Literal::Double(-value)) })
                }
                (operator, kind) => {
                    let operand = Expr { at: operand.at, kind };
                    self.node(at, ExprKind::Unary(operator, Box::new(operand)))
                }
            }
        })
    }

    /// Parses a primary with the fields, indexes and calls that follow it.
    fn member(&mut self) -> Result<Expr<'s>, Mistake> {
        let mut expr = self.primary()?;
        loop {
            if self.consume(".")? {
                expr = self.selection(expr)?;
            } else if self.is_next("[") {
                let at = self.at;
                self.advance()?;
                let index = self.expression()?;
                self.expect("]")?;
                expr = self.node(at, ExprKind::Index(Box::new([expr, index])))?;
            } else {
                return Ok(expr);
            }
        }
    }

    /// Parses what follows a dot.
    fn selection(&mut self, target: Expr<'s>) -> Result<Expr<'s>, Mistake> {
        let at = self.at;
        let (name, is_quoted) = match self.token {
            Token::Name(name) => (name, false),
            Token::Quoted(name) => (name, true),
            _ => return Err(self.unexpected("a field name")),
        };
        self.advance()?;
        let target = Box::new(target);
        if is_quoted || !self.consume("(")? {
            return self.node(at, ExprKind::Field(target, name));
        }
        let arguments = self.list(")")?;
        self.node(at, ExprKind::Call(Call { name, target: Some(target), arguments }))
    }

    fn primary(&mut self) -> Result<Expr<'s>, Mistake> {
        let at = self.at;
        match self.token.clone() {
            Token::Literal(literal) => {
                self.advance()?;
                self.node(at, ExprKind::Literal(literal))
            }
            Token::Name(name) => self.name(name),
            Token::Symbol("(") => {
                self.advance()?;
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Symbol("[") => {
                self.advance()?;
                let elements = self.list("]")?;
                self.node(at, ExprKind::List(elements))
            }
            Token::Symbol("{") => {
                self.advance()?;
                let entries = self.entries()?;
                self.node(at, ExprKind::Map(entries))
            }
            _ => Err(self.unexpected("a value")),
        }
    }

    /// Parses a keyword, a variable or a call.
    fn name(&mut self, name: &'s str) -> Result<Expr<'s>, Mistake> {
        let at = self.at;
        let constant = match name {
            "true" => Some(Literal::Bool(true)),
            "false" => Some(Literal::Bool(false)),
            "null" => Some(Literal::Null),
            _ => None,
        };
        if name == "in" || name.eq_ignore_ascii_case("not") || RESERVED.contains(&name) {
            return Err(self.unexpected("a value"));
        }
        self.advance()?;
        if let Some(constant) = constant {
            return self.node(at, ExprKind::Literal(constant));
        }
        if self.consume("(")? {
            let arguments = self.list(")")?;
            return self.node(at, ExprKind::Call(Call { name, target: None, arguments }));
        }
        self.node(at, ExprKind::Name(name))
    }

    /// Parses expressions up to the closing bracket. A comma may follow the last one.
    fn list(&mut self, close: &'static str) -> Result<Vec<Expr<'s>>, Mistake> {
        let mut expressions = Vec::new();
        while !self.consume(close)? {
            expressions.push(self.expression()?);
            if !self.is_next(close) {
                self.expect(",")?;
            }
        }
        Ok(expressions)
    }

    /// Parses the entries of a map and the closing brace.
    fn entries(&mut self) -> Result<Vec<[Expr<'s>; 2]>, Mistake> {
        let mut entries = Vec::new();
        while !self.consume("}")? {
            let key = self.expression()?;
            self.expect(":")?;
            entries.push([key, self.expression()?]);
            if !self.is_next("}") {
                self.expect(",")?;
            }
        }
        Ok(entries)
    }

    /// Counts a node.
    fn node(&mut self, at: usize, kind: ExprKind<'s>) -> Result<Expr<'s>, Mistake> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            let problem = format!("the filter has more than {MAX_NODES} names, values and operators");
            return Err(Mistake::new(at, problem));
        }
        Ok(Expr { at, kind })
    }

    fn advance(&mut self) -> Result<(), Mistake> {
        (self.at, self.token) = self.lexer.next()?;
        Ok(())
    }

    /// Returns whether a symbol or the word `in` is next.
    fn is_next(&self, symbol: &str) -> bool {
        matches!(self.token, Token::Symbol(next) | Token::Name(next) if next == symbol)
    }

    /// Consumes a symbol if it is next. Returns whether it was.
    fn consume(&mut self, symbol: &'static str) -> Result<bool, Mistake> {
        let is_next = self.token == Token::Symbol(symbol);
        if is_next {
            self.advance()?;
        }
        Ok(is_next)
    }

    fn expect(&mut self, symbol: &'static str) -> Result<(), Mistake> {
        if self.consume(symbol)? { Ok(()) } else { Err(self.unexpected(&format!("`{symbol}`"))) }
    }

    fn unexpected(&self, expected: &str) -> Mistake {
        let (found, advice) = match &self.token {
            Token::End => ("the end of the filter".into(), String::new()),
            Token::Literal(_) => ("a value".into(), String::new()),
            Token::Symbol(symbol) => (format!("`{symbol}`"), String::new()),
            Token::Name(name) | Token::Quoted(name) => (format!("`{}`", quote(name)), advice(name)),
        };
        Mistake::new(self.at, format!("expected {expected}, found {found}{advice}"))
    }
}

/// Returns what to write instead of a word of another language.
fn advice(word: &str) -> String {
    let found = FOREIGN.iter().find(|(foreign, _)| foreign.eq_ignore_ascii_case(word));
    found.map(|(_, own)| format!("; write `{own}`")).unwrap_or_default()
}
