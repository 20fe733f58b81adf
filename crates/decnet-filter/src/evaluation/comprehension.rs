//! Comprehensions: macros that evaluate their body for each element.

use super::{Evaluated, Evaluation};
use crate::error::{Fault, Why};
use crate::node::{Comprehension, ComprehensionKind, Node};
use crate::value::{List, Value};

impl<'n> Evaluation<'n, '_> {
    pub(super) fn comprehension(&mut self, node: &'n Node, each: &'n Comprehension) -> Evaluated<'n> {
        let range = self.value(&each.range)?;
        let is_list_needed = matches!(each.kind, ComprehensionKind::Filter | ComprehensionKind::Map);
        match &range {
            Value::List(_) => {}
            Value::Map(_) if !is_list_needed => {}
            other => return Err(Fault { node, why: Why::Operand(other.kind()) }),
        }
        match each.kind {
            ComprehensionKind::All => self.quantified(node, each, &range, false),
            ComprehensionKind::Exists => self.quantified(node, each, &range, true),
            ComprehensionKind::ExistsOne => {
                let accepted = self.filtered(node, each, &range)?;
                Ok(Value::Bool(accepted.len() == 1))
            }
            ComprehensionKind::Filter => {
                Ok(Value::List(List::Shared(self.filtered(node, each, &range)?.into())))
            }
            ComprehensionKind::Map => {
                let values: Result<_, _> = elements(&range)
                    .map(|element| {
                        self.item = element;
                        self.value(&each.body)
                    })
                    .collect();
                Ok(Value::List(List::Shared(values?)))
            }
        }
    }

    /// Joins the conditions of all elements by `||` if `decisive` is true, by `&&` if it is false.
    fn quantified(
        &mut self,
        node: &'n Node,
        each: &'n Comprehension,
        range: &Value<'n>,
        decisive: bool,
    ) -> Evaluated<'n> {
        let mut first_fault = None;
        for element in elements(range) {
            self.item = element;
            match self.condition(node, &each.body) {
                Ok(value) if value == decisive => return Ok(Value::Bool(decisive)),
                Ok(_) => {}
                Err(fault) if fault.is_exhaustion() => return Err(fault),
                Err(fault) => first_fault = first_fault.or(Some(fault)),
            }
        }
        first_fault.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    /// Returns the elements for which the condition is true.
    fn filtered(
        &mut self,
        node: &'n Node,
        each: &'n Comprehension,
        range: &Value<'n>,
    ) -> Result<Vec<Value<'n>>, Fault<'n>> {
        let mut accepted = Vec::new();
        for element in elements(range) {
            self.item = element.clone();
            if self.condition(node, &each.body)? {
                accepted.push(element);
            }
        }
        Ok(accepted)
    }
}

/// Returns the elements of a list, or the keys of a map.
fn elements<'v>(range: &Value<'v>) -> impl Iterator<Item = Value<'v>> {
    (0..).map_while(move |index| match range {
        Value::List(list) => list.get(index),
        Value::Map(map) => map.entry(index).map(|(key, _)| Value::Text(key)),
        _ => None,
    })
}
