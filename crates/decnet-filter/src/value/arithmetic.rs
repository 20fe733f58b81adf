//! Arithmetic on numbers.

use super::{Kind, Value};
use crate::error::Why;
use crate::syntax::Binary;

/// Applies an arithmetic operator to two numbers. An int and a double are both doubles, since JSON does not separate them.
///
/// # Errors
/// The operator does not apply to the kinds, the divisor is 0, or the result exceeds 128 bits.
pub(crate) fn calculate<'v>(operator: Binary, a: &Value<'_>, b: &Value<'_>) -> Result<Value<'v>, Why> {
    let value = match (a, b) {
        (Value::Int(a), Value::Int(b)) => return ints(operator, *a, *b).map(Value::Int),
        (Value::Double(a), Value::Double(b)) => doubles(operator, *a, *b),
        (Value::Int(a), Value::Double(b)) => doubles(operator, *a as f64, *b),
        (Value::Double(a), Value::Int(b)) => doubles(operator, *a, *b as f64),
        _ => None,
    };
    value.map(Value::Double).ok_or(Why::Operands(a.kind(), b.kind()))
}

fn ints(operator: Binary, a: i128, b: i128) -> Result<i128, Why> {
    if b == 0 && matches!(operator, Binary::Divide | Binary::Remainder) {
        return Err(Why::DivisionByZero);
    }
    let result = match operator {
        Binary::Add => a.checked_add(b),
        Binary::Subtract => a.checked_sub(b),
        Binary::Multiply => a.checked_mul(b),
        Binary::Divide => a.checked_div(b),
        Binary::Remainder => a.checked_rem(b),
        _ => return Err(Why::Operands(Kind::Int, Kind::Int)),
    };
    result.ok_or(Why::Overflow)
}

/// Returns `None` for an operator that does not apply to doubles.
fn doubles(operator: Binary, a: f64, b: f64) -> Option<f64> {
    match operator {
        Binary::Add => Some(a + b),
        Binary::Subtract => Some(a - b),
        Binary::Multiply => Some(a * b),
        Binary::Divide => Some(a / b),
        _ => None,
    }
}

/// Changes the sign of a number.
///
/// # Errors
/// The value is not a number, or the result exceeds 128 bits.
pub(crate) fn negate<'v>(value: &Value<'_>) -> Result<Value<'v>, Why> {
    match value {
        Value::Int(value) => value.checked_neg().map(Value::Int).ok_or(Why::Overflow),
        Value::Double(value) => Ok(Value::Double(-value)),
        other => Err(Why::Operand(other.kind())),
    }
}
