//! The known names, and advice about unknown ones.

use crate::error::quote;
use crate::node::Variable;

/// The functions, each with the form of its call. `f(a, b)` and `a.f(b)` are the same.
pub const FUNCTIONS: [(&str, &str); 7] = [
    ("cidr", r#"cidr(address, "10.0.0.0/8")"#),
    ("contains", "text.contains(part)"),
    ("endsWith", "text.endsWith(suffix)"),
    ("lower", "lower(text)"),
    ("matches", r#"text.matches("pattern")"#),
    ("size", "size(value)"),
    ("startsWith", "text.startsWith(prefix)"),
];
/// The macros, each with the form of its call.
pub const MACROS: [(&str, &str); 6] = [
    ("all", "list.all(x, condition)"),
    ("exists", "list.exists(x, condition)"),
    ("exists_one", "list.exists_one(x, condition)"),
    ("filter", "list.filter(x, condition)"),
    ("has", "has(payload.field)"),
    ("map", "list.map(x, value)"),
];

/// Names of other languages and other implementations of CEL, and the function here.
const ALIASES: [(&str, &str); 11] = [
    ("any", "exists"),
    ("existsOne", "exists_one"),
    ("includes", "contains"),
    ("inCidr", "cidr"),
    ("ip", "cidr"),
    ("len", "size"),
    ("length", "size"),
    ("lowerAscii", "lower"),
    ("regex", "matches"),
    ("toLower", "lower"),
    ("toLowerCase", "lower"),
];

/// Returns the form of the call of a function or macro.
pub(super) fn form(name: &str) -> Option<&'static str> {
    FUNCTIONS.iter().chain(&MACROS).find(|(known, _)| *known == name).map(|(_, form)| *form)
}

pub(super) fn unknown_function(name: &str) -> String {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, known)| *known);
    let similar = alias.or_else(|| nearest(name, FUNCTIONS.iter().chain(&MACROS).map(|(known, _)| *known)));
    let advice = similar.and_then(form).map(|form| format!("; write `{form}`")).unwrap_or_default();
    let known = |names: &[(&str, &str)]| names.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let (functions, macros) = (known(&FUNCTIONS), known(&MACROS));
    format!(
        "unknown function `{}`{advice}; the functions are {functions}, and the macros {macros}",
        quote(name)
    )
}

pub(super) fn unknown_variable(name: &str) -> String {
    let known = Variable::ALL.map(Variable::name);
    let shown = quote(name);
    let advice = match nearest(name, known.into_iter()) {
        Some(similar) => format!("write `{similar}`"),
        None => format!("write `payload.{shown}` for a field of the payload, or \"{shown}\" for a string"),
    };
    format!("unknown variable `{shown}`; {advice}; the variables are {}", known.join(", "))
}

/// Returns the known name that is most similar to a misspelt one, if any is close enough.
fn nearest(name: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let lower = name.to_lowercase();
    let distance = |known: &str| strsim::levenshtein(&lower, &known.to_lowercase());
    let (distance, nearest) =
        known.map(|known| (distance(known), known)).min_by_key(|(distance, _)| *distance)?;
    (distance <= name.len() / 3).then_some(nearest)
}
