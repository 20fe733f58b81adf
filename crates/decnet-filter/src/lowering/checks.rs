//! Checks of the kinds of operands. An unknown kind passes, because only evaluation can decide.

use decnet_core::severity::Severity;

use crate::node::{Node, Op, Variable};
use crate::syntax::Binary;
use crate::value::{Kind, List, Value};

/// Checks the operands of an operator. Returns the kind of its result.
///
/// # Errors
/// The problem.
pub(super) fn binary(
    operator: Binary,
    left: Option<Kind>,
    right: Option<Kind>,
) -> Result<Option<Kind>, String> {
    let kind = match operator {
        _ if operator.is_equality() => equality(left, right),
        _ if operator.is_ordering() => ordering(left, right),
        Binary::In => containment(left, right),
        _ => return arithmetic(operator, left, right).ok_or_else(|| mismatch(operator, left, right)),
    };
    if kind { Ok(Some(Kind::Bool)) } else { Err(mismatch(operator, left, right)) }
}

fn equality(left: Option<Kind>, right: Option<Kind>) -> bool {
    let (Some(left), Some(right)) = (left, right) else { return true };
    left == right || left.is_numeric() && right.is_numeric()
}

fn ordering(left: Option<Kind>, right: Option<Kind>) -> bool {
    let is_ordered = |kind: Option<Kind>| !matches!(kind, Some(Kind::Null | Kind::List | Kind::Map));
    is_ordered(left) && is_ordered(right) && equality(left, right)
}

fn containment(left: Option<Kind>, right: Option<Kind>) -> bool {
    match right {
        None | Some(Kind::List) => true,
        Some(Kind::Map) => matches!(left, None | Some(Kind::Text)),
        Some(_) => false,
    }
}

/// Returns the kind of the result; `None` if the operator does not apply.
fn arithmetic(operator: Binary, left: Option<Kind>, right: Option<Kind>) -> Option<Option<Kind>> {
    let is_numeric = |kind: Option<Kind>| kind.is_none_or(Kind::is_numeric);
    let is_text = |kind: Option<Kind>| kind.is_none_or(|kind| kind == Kind::Text);
    match (left, right) {
        (Some(Kind::Text), _) | (_, Some(Kind::Text)) => {
            (operator == Binary::Add && is_text(left) && is_text(right)).then_some(Some(Kind::Text))
        }
        (Some(Kind::Int), Some(Kind::Int)) => Some(Some(Kind::Int)),
        _ if operator == Binary::Remainder => {
            let is_int = |kind: Option<Kind>| kind.is_none_or(|kind| kind == Kind::Int);
            (is_int(left) && is_int(right)).then_some(Some(Kind::Int))
        }
        (Some(Kind::Double), other) | (other, Some(Kind::Double)) => {
            is_numeric(other).then_some(Some(Kind::Double))
        }
        _ => (is_numeric(left) && is_numeric(right)).then_some(None),
    }
}

fn mismatch(operator: Binary, left: Option<Kind>, right: Option<Kind>) -> String {
    let symbol = operator.symbol();
    match (left, right) {
        (Some(left), Some(right)) if operator.is_equality() => {
            format!("`{symbol}` compares {left} and {right}, which are never equal")
        }
        (_, Some(Kind::Text)) if operator == Binary::In => {
            "`in` does not apply to a string; to search in a string, write `text.contains(part)`".into()
        }
        (Some(left), Some(right)) => format!("`{symbol}` does not apply to {left} and {right}"),
        (Some(kind), None) | (None, Some(kind)) => format!("`{symbol}` does not apply to {kind}"),
        (None, None) => format!("`{symbol}` does not apply to these values"),
    }
}

/// Checks the operands of an index.
///
/// # Errors
/// The problem.
pub(super) fn index(target: Option<Kind>, index: Option<Kind>) -> Result<(), String> {
    match (target, index) {
        (Some(Kind::List), Some(index)) if index != Kind::Int => {
            Err(format!("a list is indexed by an int, not by {index}"))
        }
        (Some(Kind::Map), Some(index)) if index != Kind::Text => {
            Err(format!("a map is indexed by a string, not by {index}"))
        }
        (None, Some(index)) if !matches!(index, Kind::Int | Kind::Text) => {
            Err(format!("an index is an int or a string, not {index}"))
        }
        (None | Some(Kind::List | Kind::Map), _) => Ok(()),
        (Some(target), _) => Err(format!("`[]` does not apply to {target}")),
    }
}

/// Checks comparisons of the severity: by order they would be alphabetical, and with an unknown name never true.
///
/// # Errors
/// The problem.
pub(super) fn severity(operator: Binary, left: &Node, right: &Node) -> Result<(), String> {
    let is_severity = |node: &Node| matches!(node.op, Op::Variable(Variable::Severity));
    let other = match (is_severity(left), is_severity(right)) {
        (true, _) => right,
        (_, true) => left,
        _ => return Ok(()),
    };
    if operator.is_ordering() {
        let symbol = operator.symbol();
        return Err(format!(
            "`{symbol}` compares strings alphabetically; write `severity in [\"high\", \"critical\"]`"
        ));
    }
    match &other.op {
        Op::Constant(Value::Text(name)) => name.as_str().parse::<Severity>().map(drop),
        Op::Constant(Value::List(List::Shared(names))) => names.iter().try_for_each(|name| match name {
            Value::Text(name) => name.as_str().parse::<Severity>().map(drop),
            _ => Ok(()),
        }),
        _ => Ok(()),
    }
    .map_err(|error| error.to_string())
}
