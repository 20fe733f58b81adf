//! Calls of functions and macros.

use super::{Lowering, MAX_COMPREHENSIONS, Typed, names, patterns};
use crate::error::Mistake;
use crate::node::{Comprehension, ComprehensionKind, Node, Op, TextTest, Variable};
use crate::syntax::{Call, Expr, ExprKind, Literal};
use crate::value::Kind;

impl<'s> Lowering<'s> {
    pub(super) fn call(&mut self, at: usize, call: &Call<'s>) -> Result<Typed, Mistake> {
        let name = call.name;
        let arguments: Vec<&Expr<'s>> = call.target.as_deref().into_iter().chain(&call.arguments).collect();
        let Some(form) = names::form(name) else {
            return Err(Mistake::new(at, names::unknown_function(name)));
        };
        if let Some(kind) = ComprehensionKind::ALL.into_iter().find(|kind| kind.name() == name) {
            return match (&call.target, call.arguments.as_slice()) {
                (Some(range), [variable, body]) => self.comprehension(at, kind, range, [variable, body]),
                _ => Err(misused(at, form)),
            };
        }
        match (name, arguments.as_slice()) {
            ("has", [field]) if call.target.is_none() => self.has(at, field),
            ("lower", [text]) => Ok(Typed::new(at, Op::Lower(Box::new(self.text(name, text)?)), Kind::Text)),
            ("size", [value]) => self.size(at, value),
            ("matches", [text, literal]) => {
                let pattern = parse_literal(name, literal, patterns::pattern)?;
                Ok(Typed::new(at, Op::Matches(Box::new(self.text(name, text)?), pattern), Kind::Bool))
            }
            ("cidr", [address, literal]) => {
                let network = parse_literal(name, literal, patterns::network)?;
                Ok(Typed::new(at, Op::Cidr(Box::new(self.text(name, address)?), network), Kind::Bool))
            }
            (_, [text, part]) => match TextTest::ALL.into_iter().find(|test| test.name() == name) {
                Some(test) => {
                    let operands = [self.text(name, text)?, self.text(name, part)?];
                    Ok(Typed::new(at, Op::TextTest(test, Box::new(operands)), Kind::Bool))
                }
                None => Err(misused(at, form)),
            },
            _ => Err(misused(at, form)),
        }
    }

    fn has(&mut self, at: usize, field: &Expr<'s>) -> Result<Typed, Mistake> {
        let ExprKind::Field(parent, name) = &field.kind else {
            let problem =
                "`has` tests a field; write `has(payload.field)`, or `\"key\" in payload` for a key";
            return Err(Mistake::new(field.at, problem));
        };
        let parent = self.parent(field.at, parent, name)?;
        Ok(Typed::new(at, Op::Has(Box::new(parent), (*name).into()), Kind::Bool))
    }

    fn size(&mut self, at: usize, value: &Expr<'s>) -> Result<Typed, Mistake> {
        let Typed { node, kind } = self.expr(value)?;
        match kind {
            None | Some(Kind::Text | Kind::List | Kind::Map) => {
                Ok(Typed::new(at, Op::Size(Box::new(node)), Kind::Int))
            }
            Some(kind) => Err(Mistake::new(value.at, format!("`size` does not apply to {kind}"))),
        }
    }

    /// Lowers an argument that must be a string.
    fn text(&mut self, function: &str, argument: &Expr<'s>) -> Result<Node, Mistake> {
        let Typed { node, kind } = self.expr(argument)?;
        match kind {
            None | Some(Kind::Text) => Ok(node),
            Some(kind) => Err(Mistake::new(argument.at, format!("`{function}` does not apply to {kind}"))),
        }
    }

    fn comprehension(
        &mut self,
        at: usize,
        kind: ComprehensionKind,
        range: &Expr<'s>,
        [variable, body]: [&Expr<'s>; 2],
    ) -> Result<Typed, Mistake> {
        self.comprehensions += 1;
        if self.item.is_some() {
            let problem =
                format!("`{}` is inside another comprehension, which is not supported", kind.name());
            return Err(Mistake::new(at, problem));
        }
        if self.comprehensions > MAX_COMPREHENSIONS {
            let problem = format!("the filter has more than {MAX_COMPREHENSIONS} comprehensions");
            return Err(Mistake::new(at, problem));
        }
        let range_node = self.range(kind, range)?;
        self.item = Some(element_name(kind, variable)?);
        let body = match kind {
            ComprehensionKind::Map => self.expr(body)?.node,
            _ => self.condition(body.at, kind.name(), body)?,
        };
        self.item = None;
        let result = match kind {
            ComprehensionKind::Filter | ComprehensionKind::Map => Kind::List,
            _ => Kind::Bool,
        };
        let comprehension = Comprehension { kind, range: range_node, body };
        Ok(Typed::new(at, Op::Comprehension(Box::new(comprehension)), result))
    }

    fn range(&mut self, kind: ComprehensionKind, range: &Expr<'s>) -> Result<Node, Mistake> {
        let Typed { node, kind: range_kind } = self.expr(range)?;
        match range_kind {
            None | Some(Kind::List) => Ok(node),
            Some(Kind::Map) if !matches!(kind, ComprehensionKind::Filter | ComprehensionKind::Map) => {
                Ok(node)
            }
            Some(other) => {
                Err(Mistake::new(range.at, format!("`{}` does not apply to {other}", kind.name())))
            }
        }
    }
}

/// Returns the name of the element of a comprehension.
fn element_name<'s>(kind: ComprehensionKind, variable: &Expr<'s>) -> Result<&'s str, Mistake> {
    let ExprKind::Name(name) = variable.kind else {
        let problem =
            format!("the first argument of `{}` is a name for the element, such as `x`", kind.name());
        return Err(Mistake::new(variable.at, problem));
    };
    if Variable::ALL.iter().any(|variable| variable.name() == name) {
        let problem = format!("`{name}` is a variable of the event; choose another name, such as `x`");
        return Err(Mistake::new(variable.at, problem));
    }
    Ok(name)
}

/// Parses an argument that must be a string literal.
fn parse_literal<T>(
    function: &str,
    argument: &Expr<'_>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<T, Mistake> {
    let ExprKind::Literal(Literal::Text(text)) = &argument.kind else {
        let problem = format!("the second argument of `{function}` must be a string literal");
        return Err(Mistake::new(argument.at, problem));
    };
    parse(text).map_err(|problem| Mistake::new(argument.at, problem))
}

fn misused(at: usize, form: &str) -> Mistake {
    Mistake::new(at, format!("wrong arguments; write `{form}`"))
}
