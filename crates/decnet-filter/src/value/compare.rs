//! Equality and order.

use std::cmp::Ordering;

use super::{Kind, List, Map, Value};
use crate::budget::Steps;
use crate::error::Why;

/// 2 to the power of 127: every `i128` is less.
const INT_BOUND: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;

/// Returns whether two values are equal. Numbers are compared by value, values of other different kinds are unequal. Takes a
/// step per element and per piece of text.
pub(crate) fn equal(a: &Value<'_>, b: &Value<'_>, steps: &mut Steps) -> Result<bool, Why> {
    match (a, b) {
        (Value::Null, Value::Null) => Ok(true),
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Int(a), Value::Int(b)) => Ok(a == b),
        (Value::Int(_) | Value::Double(_), Value::Int(_) | Value::Double(_)) => {
            Ok(numeric_order(a, b) == Some(Ordering::Equal))
        }
        (Value::Text(a), Value::Text(b)) => {
            let (a, b) = (a.as_str(), b.as_str());
            if a.len() != b.len() {
                return Ok(false);
            }
            steps.spend_text(a)?;
            Ok(a == b)
        }
        (Value::List(a), Value::List(b)) => equal_lists(a, b, steps),
        (Value::Map(a), Value::Map(b)) => equal_maps(a, b, steps),
        _ => Ok(false),
    }
}

fn equal_lists(a: &List<'_>, b: &List<'_>, steps: &mut Steps) -> Result<bool, Why> {
    if a.len() != b.len() {
        return Ok(false);
    }
    for (a, b) in (0..).map_while(|index| a.get(index).zip(b.get(index))) {
        steps.spend(1)?;
        if !equal(&a, &b, steps)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn equal_maps(a: &Map<'_>, b: &Map<'_>, steps: &mut Steps) -> Result<bool, Why> {
    if a.len() != b.len() {
        return Ok(false);
    }
    for ((a_key, a), (b_key, b)) in (0..).map_while(|index| a.entry(index).zip(b.entry(index))) {
        steps.spend(1)?;
        steps.spend_text(a_key.as_str())?;
        if a_key.as_str() != b_key.as_str() || !equal(&a, &b, steps)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns the order of two numbers, texts or bools; `Ok(None)` if one is not a number (NaN). Text is ordered by code point.
///
/// # Errors
/// The values cannot be ordered; their kinds.
pub(crate) fn order(a: &Value<'_>, b: &Value<'_>) -> Result<Option<Ordering>, (Kind, Kind)> {
    match (a, b) {
        (Value::Int(_) | Value::Double(_), Value::Int(_) | Value::Double(_)) => Ok(numeric_order(a, b)),
        (Value::Text(a), Value::Text(b)) => Ok(Some(a.as_str().cmp(b.as_str()))),
        (Value::Bool(a), Value::Bool(b)) => Ok(Some(a.cmp(b))),
        _ => Err((a.kind(), b.kind())),
    }
}

fn numeric_order(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Int(a), Value::Double(b)) => mixed_order(*a, *b),
        (Value::Double(a), Value::Int(b)) => mixed_order(*b, *a).map(Ordering::reverse),
        _ => None,
    }
}

/// Compares exactly; a conversion of the int to a double would round it.
fn mixed_order(int: i128, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    if double >= INT_BOUND {
        return Some(Ordering::Less);
    }
    if double < -INT_BOUND {
        return Some(Ordering::Greater);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the bounds are checked, and the fraction is compared below"
    )]
    let whole = double as i128;
    let fraction = 0.0.partial_cmp(&double.fract());
    Some(int.cmp(&whole).then(fraction.unwrap_or(Ordering::Equal)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ints_and_doubles_are_compared_exactly() {
        let large = 9_007_199_254_740_993; // 2^53 + 1, which a double cannot represent
        for (int, double, expected) in [
            (1, 1.0, Some(Ordering::Equal)),
            (1, 1.5, Some(Ordering::Less)),
            (2, 1.5, Some(Ordering::Greater)),
            (-1, -1.5, Some(Ordering::Greater)),
            (-2, -1.5, Some(Ordering::Less)),
            (0, -0.0, Some(Ordering::Equal)),
            (large, 9_007_199_254_740_992.0, Some(Ordering::Greater)),
            (i128::MAX, INT_BOUND, Some(Ordering::Less)),
            (i128::MIN, -INT_BOUND, Some(Ordering::Equal)),
            (i128::MIN, f64::NEG_INFINITY, Some(Ordering::Greater)),
            (i128::MAX, f64::INFINITY, Some(Ordering::Less)),
            (0, f64::NAN, None),
        ] {
            assert_eq!(mixed_order(int, double), expected, "{int} {double}");
        }
    }
}
