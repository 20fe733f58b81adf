//! Operators.

use super::{Evaluated, Evaluation};
use crate::error::{Fault, Why};
use crate::node::Node;
use crate::syntax::{Binary, Unary};
use crate::value::{Value, calculate, equal, negate, order};

impl<'n> Evaluation<'n, '_> {
    pub(super) fn unary(&mut self, node: &'n Node, operator: Unary, operand: &'n Node) -> Evaluated<'n> {
        match operator {
            Unary::Not => self.condition(node, operand).map(|value| Value::Bool(!value)),
            Unary::Negate => negate(&self.value(operand)?).map_err(|why| Fault { node, why }),
        }
    }

    pub(super) fn binary(
        &mut self,
        node: &'n Node,
        operator: Binary,
        [left, right]: &'n [Node; 2],
    ) -> Evaluated<'n> {
        let (left, right) = (self.value(left)?, self.value(right)?);
        match operator {
            Binary::Equal => self.equal(node, &left, &right).map(Value::Bool),
            Binary::NotEqual => self.equal(node, &left, &right).map(|equal| Value::Bool(!equal)),
            Binary::In => self.contained(node, &left, &right).map(Value::Bool),
            Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual => {
                self.ordered(node, operator, &left, &right).map(Value::Bool)
            }
            _ => self.calculated(node, operator, &left, &right),
        }
    }

    /// Evaluates operands until one has the decisive value, which is then the result. Faults of the others are ignored in that
    /// case (CEL specification, "Logical Operators").
    pub(super) fn logical(&mut self, node: &'n Node, operands: &'n [Node], decisive: bool) -> Evaluated<'n> {
        let mut first_fault = None;
        for operand in operands {
            match self.condition(node, operand) {
                Ok(value) if value == decisive => return Ok(Value::Bool(decisive)),
                Ok(_) => {}
                Err(fault) if fault.is_exhaustion() => return Err(fault),
                Err(fault) => first_fault = first_fault.or(Some(fault)),
            }
        }
        first_fault.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    pub(super) fn conditional(
        &mut self,
        node: &'n Node,
        [condition, accepted, rejected]: &'n [Node; 3],
    ) -> Evaluated<'n> {
        if self.condition(node, condition)? { self.value(accepted) } else { self.value(rejected) }
    }

    /// Evaluates an operand that must be a bool.
    pub(super) fn condition(&mut self, node: &'n Node, operand: &'n Node) -> Result<bool, Fault<'n>> {
        match self.value(operand)? {
            Value::Bool(value) => Ok(value),
            other => Err(Fault { node, why: Why::Operand(other.kind()) }),
        }
    }

    fn equal(&mut self, node: &'n Node, left: &Value<'n>, right: &Value<'n>) -> Result<bool, Fault<'n>> {
        equal(left, right, &mut self.steps).map_err(|why| Fault { node, why })
    }

    fn ordered(
        &mut self,
        node: &'n Node,
        operator: Binary,
        left: &Value<'n>,
        right: &Value<'n>,
    ) -> Result<bool, Fault<'n>> {
        if let (Value::Text(left), Value::Text(_)) = (left, right) {
            self.spend_text(node, left.as_str())?;
        }
        let order = order(left, right).map_err(|(a, b)| Fault { node, why: Why::Operands(a, b) })?;
        Ok(order.is_some_and(|order| match operator {
            Binary::Less => order.is_lt(),
            Binary::LessOrEqual => order.is_le(),
            Binary::Greater => order.is_gt(),
            _ => order.is_ge(),
        }))
    }

    /// Returns whether a list contains a value, or a map a key.
    fn contained(&mut self, node: &'n Node, value: &Value<'n>, range: &Value<'n>) -> Result<bool, Fault<'n>> {
        match (value, range) {
            (Value::Text(key), Value::Map(map)) => {
                self.spend_text(node, key.as_str())?;
                Ok(map.get(key.as_str()).is_some())
            }
            (_, Value::List(list)) => {
                for element in (0..).map_while(|index| list.get(index)) {
                    self.spend(node, 1)?;
                    if self.equal(node, value, &element)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            _ => Err(Fault { node, why: Why::Operands(value.kind(), range.kind()) }),
        }
    }

    fn calculated(
        &mut self,
        node: &'n Node,
        operator: Binary,
        left: &Value<'n>,
        right: &Value<'n>,
    ) -> Evaluated<'n> {
        if let (Binary::Add, Value::Text(left), Value::Text(right)) = (operator, left, right) {
            self.spend_text(node, left.as_str())?;
            self.spend_text(node, right.as_str())?;
            return Ok(Value::shared([left.as_str(), right.as_str()].concat()));
        }
        calculate(operator, left, right).map_err(|why| Fault { node, why })
    }
}
