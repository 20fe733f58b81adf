//! The evaluation of nodes.
//!
//! The height of a tree is bounded by the number of its nodes, and so is the recursion. Nothing is allocated for variables, fields,
//! comparisons and functions that return a bool.

mod comprehension;
mod functions;
mod operators;

use crate::budget::{Budget, Steps};
use crate::error::{Fault, Why};
use crate::input::FilterInput;
use crate::node::{Node, Op, Variable};
use crate::value::{List, Map, Text, Value};

/// Evaluates a filter, and takes its steps from the budget.
pub(crate) fn evaluate<'n>(
    root: &'n Node,
    input: &'n FilterInput<'_>,
    budget: &mut Budget,
) -> Result<bool, Fault<'n>> {
    let steps = Steps::new(budget);
    let mut evaluation = Evaluation { input, item: Value::Null, steps };
    let result = evaluation.value(root);
    evaluation.steps.settle(budget);
    match result? {
        Value::Bool(accepts) => Ok(accepts),
        other => Err(Fault { node: root, why: Why::Result(other.kind()) }),
    }
}

/// The state of one evaluation. `'n` is the lifetime of the nodes and the input, `'e` that of the event.
struct Evaluation<'n, 'e> {
    input: &'n FilterInput<'e>,
    /// The element of the comprehension whose body is being evaluated.
    item: Value<'n>,
    steps: Steps,
}

type Evaluated<'n> = Result<Value<'n>, Fault<'n>>;

impl<'n> Evaluation<'n, '_> {
    fn value(&mut self, node: &'n Node) -> Evaluated<'n> {
        self.spend(node, 1)?;
        match &node.op {
            Op::Constant(value) => Ok(value.clone()),
            Op::Variable(variable) => self.variable(node, *variable),
            Op::Item(_) => Ok(self.item.clone()),
            Op::Field(parent, name) => self.field(node, parent, name),
            Op::Index(operands) => self.index(node, operands),
            Op::Has(parent, name) => self.has(parent, name).map(Value::Bool),
            Op::List(elements) => self.list(elements),
            Op::Map(fields) => self.map(fields),
            Op::Unary(operator, operand) => self.unary(node, *operator, operand),
            Op::Binary(operator, operands) => self.binary(node, *operator, operands),
            Op::And(operands) => self.logical(node, operands, false),
            Op::Or(operands) => self.logical(node, operands, true),
            Op::Conditional(operands) => self.conditional(node, operands),
            Op::Lower(text) => self.lower(node, text),
            Op::Size(value) => self.size(node, value),
            Op::TextTest(test, operands) => self.text_test(node, *test, operands).map(Value::Bool),
            Op::Matches(text, pattern) => self.matches(node, text, pattern),
            Op::Cidr(address, network) => self.cidr(node, address, network),
            Op::Comprehension(comprehension) => self.comprehension(node, comprehension),
        }
    }

    fn variable(&self, node: &'n Node, variable: Variable) -> Evaluated<'n> {
        match variable {
            Variable::Id => Ok(Value::Text(Text::Borrowed(&self.input.event.id))),
            Variable::Topic => Ok(Value::Text(Text::Borrowed(&self.input.event.topic))),
            Variable::Severity => Ok(Value::Text(Text::Borrowed(self.input.severity.as_str()))),
            Variable::Payload | Variable::Ts | Variable::Type => {
                let json = self.input.field(variable.name()).ok_or(Fault { node, why: Why::Erased })?;
                Ok(Value::of(json))
            }
        }
    }

    fn field(&mut self, node: &'n Node, parent: &'n Node, name: &str) -> Evaluated<'n> {
        match self.value(parent)? {
            Value::Map(map) => map.get(name).ok_or(Fault { node, why: Why::Missing }),
            other => Err(Fault { node, why: Why::Operand(other.kind()) }),
        }
    }

    fn index(&mut self, node: &'n Node, [target, index]: &'n [Node; 2]) -> Evaluated<'n> {
        let (target, index) = (self.value(target)?, self.value(index)?);
        let found = match (&target, &index) {
            (Value::List(list), Value::Int(index)) => {
                usize::try_from(*index).ok().and_then(|at| list.get(at))
            }
            (Value::Map(map), Value::Text(key)) => {
                self.spend_text(node, key.as_str())?;
                map.get(key.as_str())
            }
            _ => return Err(Fault { node, why: Why::Operands(target.kind(), index.kind()) }),
        };
        found.ok_or(Fault { node, why: Why::Missing })
    }

    /// Returns whether a field exists. A parent that does not exist or is not a map has no fields.
    fn has(&mut self, parent: &'n Node, name: &str) -> Result<bool, Fault<'n>> {
        match self.value(parent) {
            Ok(Value::Map(map)) => Ok(map.get(name).is_some()),
            Ok(_) => Ok(false),
            Err(Fault { why: Why::Missing | Why::Operand(_) | Why::Operands(..), .. }) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    fn list(&mut self, elements: &'n [Node]) -> Evaluated<'n> {
        let values: Result<_, _> = elements.iter().map(|element| self.value(element)).collect();
        Ok(Value::List(List::Shared(values?)))
    }

    fn map(&mut self, fields: &'n [(Box<str>, Node)]) -> Evaluated<'n> {
        let field = |(key, value): &'n (Box<str>, Node)| Ok((key.as_ref().into(), self.value(value)?));
        let values: Result<_, _> = fields.iter().map(field).collect();
        Ok(Value::Map(Map::Shared(values?)))
    }

    fn spend(&mut self, node: &'n Node, steps: usize) -> Result<(), Fault<'n>> {
        self.steps.spend(steps).map_err(|why| Fault { node, why })
    }

    fn spend_text(&mut self, node: &'n Node, text: &str) -> Result<(), Fault<'n>> {
        self.steps.spend_text(text).map_err(|why| Fault { node, why })
    }
}
