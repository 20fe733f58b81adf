//! Lowering: from the syntax tree to nodes. Names get their meaning, and mistakes that can be seen are rejected.

mod calls;
mod checks;
mod names;
mod patterns;

pub use self::names::{FUNCTIONS, MACROS};
pub use self::patterns::MAX_PATTERN_MEMORY;
use crate::error::{Mistake, quote};
use crate::node::{Node, Op, Variable};
use crate::syntax::{Binary, Expr, ExprKind, Literal, Unary};
use crate::value::{Kind, List, Map, Value};

/// The maximum number of comprehensions (`all`, `exists`, `exists_one`, `filter`, `map`) in a filter. None may be inside another.
pub const MAX_COMPREHENSIONS: usize = 2;

/// Lowers a whole filter, whose value must be a bool.
pub(crate) fn lower(expr: &Expr<'_>) -> Result<Node, Mistake> {
    let Typed { node, kind } = Lowering { item: None, comprehensions: 0 }.expr(expr)?;
    match kind {
        None | Some(Kind::Bool) => Ok(node),
        Some(kind) => Err(Mistake::new(
            expr.at,
            format!(
                "the result is {kind}, but a filter must be true or false; compare it, such as with `==`"
            ),
        )),
    }
}

/// A node, and the kind of its value as far as it is known.
struct Typed {
    node: Node,
    kind: Option<Kind>,
}

struct Lowering<'s> {
    /// The name of the element, inside a comprehension.
    item: Option<&'s str>,
    comprehensions: usize,
}

impl<'s> Lowering<'s> {
    fn expr(&mut self, expr: &Expr<'s>) -> Result<Typed, Mistake> {
        let at = expr.at;
        match &expr.kind {
            ExprKind::Literal(literal) => Ok(Typed::constant(at, value(literal))),
            ExprKind::Name(name) => self.name(at, name),
            ExprKind::Field(parent, name) => self.field(at, parent, name),
            ExprKind::Index(operands) => self.index(at, operands),
            ExprKind::Call(call) => self.call(at, call),
            ExprKind::List(elements) => self.list(at, elements),
            ExprKind::Map(entries) => self.map(at, entries),
            ExprKind::Unary(operator, operand) => self.unary(at, *operator, operand),
            ExprKind::Binary(operator, operands) => self.binary(at, *operator, operands),
            ExprKind::And(operands) => {
                Ok(Typed::new(at, Op::And(self.conditions(at, "&&", operands)?), Kind::Bool))
            }
            ExprKind::Or(operands) => {
                Ok(Typed::new(at, Op::Or(self.conditions(at, "||", operands)?), Kind::Bool))
            }
            ExprKind::Conditional(operands) => self.conditional(at, operands),
        }
    }

    fn name(&self, at: usize, name: &str) -> Result<Typed, Mistake> {
        if self.item == Some(name) {
            return Ok(Typed { node: Node::new(at, Op::Item(name.into())), kind: None });
        }
        let variable = Variable::ALL.into_iter().find(|variable| variable.name() == name);
        let variable = variable.ok_or_else(|| Mistake::new(at, names::unknown_variable(name)))?;
        let kind = match variable {
            Variable::Id | Variable::Severity | Variable::Topic | Variable::Ts => Some(Kind::Text),
            Variable::Payload | Variable::Type => None,
        };
        Ok(Typed { node: Node::new(at, Op::Variable(variable)), kind })
    }

    fn field(&mut self, at: usize, parent: &Expr<'s>, name: &str) -> Result<Typed, Mistake> {
        let parent = self.parent(at, parent, name)?;
        Ok(Typed { node: Node::new(at, Op::Field(Box::new(parent), name.into())), kind: None })
    }

    /// Lowers a value whose field is selected or tested.
    fn parent(&mut self, at: usize, parent: &Expr<'s>, name: &str) -> Result<Node, Mistake> {
        let Typed { node, kind } = self.expr(parent)?;
        match kind {
            None | Some(Kind::Map) => Ok(node),
            Some(kind) => {
                let advice = names::form(name).map(|form| format!("; write `{form}`")).unwrap_or_default();
                let problem = format!("{kind} does not have fields such as `{}`{advice}", quote(name));
                Err(Mistake::new(at, problem))
            }
        }
    }

    fn index(&mut self, at: usize, [target, index]: &[Expr<'s>; 2]) -> Result<Typed, Mistake> {
        let (target, index) = (self.expr(target)?, self.expr(index)?);
        checks::index(target.kind, index.kind).map_err(|problem| Mistake::new(at, problem))?;
        Ok(Typed { node: Node::new(at, Op::Index(Box::new([target.node, index.node]))), kind: None })
    }

    fn list(&mut self, at: usize, elements: &[Expr<'s>]) -> Result<Typed, Mistake> {
        let nodes = elements.iter().map(|each| Ok(self.expr(each)?.node)).collect::<Result<Vec<_>, _>>()?;
        let constants: Option<Vec<_>> = nodes.iter().map(constant).collect();
        Ok(match constants {
            Some(values) => Typed::constant(at, Value::List(List::Shared(values.into()))),
            None => Typed::new(at, Op::List(nodes.into()), Kind::List),
        })
    }

    fn map(&mut self, at: usize, entries: &[[Expr<'s>; 2]]) -> Result<Typed, Mistake> {
        let mut fields: Vec<(Box<str>, Node)> = Vec::with_capacity(entries.len());
        for [key, value] in entries {
            let ExprKind::Literal(Literal::Text(text)) = &key.kind else {
                return Err(Mistake::new(key.at, "a key of a map must be a string literal"));
            };
            if fields.iter().any(|(earlier, _)| earlier == text) {
                return Err(Mistake::new(key.at, format!("the map has the key `{}` twice", quote(text))));
            }
            fields.push((text.clone(), self.expr(value)?.node));
        }
        fields.sort_by(|(a, _), (b, _)| a.cmp(b));
        let shared = |(key, node): &(Box<str>, Node)| Some((key.as_ref().into(), constant(node)?));
        let constants: Option<Vec<_>> = fields.iter().map(shared).collect();
        Ok(match constants {
            Some(values) => Typed::constant(at, Value::Map(Map::Shared(values.into()))),
            None => Typed::new(at, Op::Map(fields.into()), Kind::Map),
        })
    }

    fn unary(&mut self, at: usize, operator: Unary, operand: &Expr<'s>) -> Result<Typed, Mistake> {
        let operand = self.expr(operand)?;
        let kind = match (operator, operand.kind) {
            (Unary::Not, None | Some(Kind::Bool)) => Some(Kind::Bool),
            (Unary::Negate, None | Some(Kind::Int | Kind::Double)) => operand.kind,
            (_, Some(kind)) => {
                return Err(Mistake::new(at, format!("`{}` does not apply to {kind}", operator.symbol())));
            }
        };
        Ok(Typed { node: Node::new(at, Op::Unary(operator, Box::new(operand.node))), kind })
    }

    fn binary(
        &mut self,
        at: usize,
        operator: Binary,
        [left, right]: &[Expr<'s>; 2],
    ) -> Result<Typed, Mistake> {
        let (left, right) = (self.expr(left)?, self.expr(right)?);
        let kind = checks::severity(operator, &left.node, &right.node)
            .and_then(|()| checks::binary(operator, left.kind, right.kind))
            .map_err(|problem| Mistake::new(at, problem))?;
        Ok(Typed { node: Node::new(at, Op::Binary(operator, Box::new([left.node, right.node]))), kind })
    }

    /// Lowers operands that must be bools.
    fn conditions(&mut self, at: usize, symbol: &str, operands: &[Expr<'s>]) -> Result<Box<[Node]>, Mistake> {
        operands.iter().map(|operand| self.condition(at, symbol, operand)).collect()
    }

    fn condition(&mut self, at: usize, symbol: &str, operand: &Expr<'s>) -> Result<Node, Mistake> {
        let Typed { node, kind } = self.expr(operand)?;
        match kind {
            None | Some(Kind::Bool) => Ok(node),
            Some(kind) => Err(Mistake::new(at, format!("`{symbol}` does not apply to {kind}"))),
        }
    }

    fn conditional(&mut self, at: usize, [condition, left, right]: &[Expr<'s>; 3]) -> Result<Typed, Mistake> {
        let condition = self.condition(at, "?", condition)?;
        let (left, right) = (self.expr(left)?, self.expr(right)?);
        let kind = left.kind.filter(|kind| right.kind == Some(*kind));
        Ok(Typed { node: Node::new(at, Op::Conditional(Box::new([condition, left.node, right.node]))), kind })
    }
}

impl Typed {
    fn new(at: usize, op: Op, kind: Kind) -> Self {
        Self { node: Node::new(at, op), kind: Some(kind) }
    }

    fn constant(at: usize, value: Value<'static>) -> Self {
        let kind = value.kind();
        Self::new(at, Op::Constant(value), kind)
    }
}

fn value(literal: &Literal) -> Value<'static> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(value) => Value::Bool(*value),
        Literal::Int(value) => Value::Int(*value),
        Literal::Double(value) => Value::Double(*value),
        Literal::Text(text) => Value::shared(&**text),
    }
}

fn constant(node: &Node) -> Option<Value<'static>> {
    if let Op::Constant(value) = &node.op { Some(value.clone()) } else { None }
}
