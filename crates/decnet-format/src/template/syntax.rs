//! The checks of a template that the engine would only make while rendering, or not at all.
//!
//! The words of tags and expressions are read without a full parser. A tag inside of `raw` is checked too, which only refuses more.

use std::collections::HashSet;

use super::events::{EVENT_VARIABLES, ROOT_VARIABLES};
use super::helpers::FUNCTIONS;
use crate::reply::excerpt;

/// The maximum number of characters of a word that an error quotes.
const MAX_QUOTED_CHARS: usize = 64;

/// The tags. Not among them: `autoescape`, which would turn escaping off; what needs other templates (`include`, `import`,
/// `extends`, `block`); `set` with a body (`endset`) and `filter`, whose text would be escaped twice.
const TAGS: [&str; 11] =
    ["if", "elif", "else", "endif", "for", "endfor", "set", "with", "endwith", "raw", "endraw"];

/// The filters: those of the engine that are useful here, and those of [`helpers`](super::helpers).
pub(super) const FILTERS: [&str; 44] = [
    "abs",
    "attr",
    "batch",
    "bool",
    "capitalize",
    "count",
    "d",
    "default",
    "defang",
    "dictsort",
    "first",
    "flag",
    "float",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "permalink",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "sort",
    "split",
    "string",
    "sum",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
];

/// The filters of the engine that are removed: they would mark text as safe, escape it for HTML, or show it as in Rust.
pub(super) const REMOVED_FILTERS: [&str; 4] = ["safe", "escape", "e", "pprint"];
/// The tests of the engine that are removed. `lower` and `upper` read a whole text without using up steps; the others are about
/// the engine.
pub(super) const REMOVED_TESTS: [&str; 6] = ["lower", "upper", "safe", "escaped", "filter", "test"];

/// The tests, without the operators that are also tests.
pub(super) const TESTS: [&str; 26] = [
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "even",
    "false",
    "float",
    "ge",
    "gt",
    "in",
    "integer",
    "iterable",
    "le",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sequence",
    "startingwith",
    "string",
    "true",
    "undefined",
];

/// A word or another character of a tag or an expression, and its line.
#[derive(Clone, Copy)]
struct Token<'s> {
    text: &'s str,
    line: usize,
}

/// Checks the tags, filters and tests of a template.
///
/// # Errors
/// The template uses an unknown one. The text says which, where, and what there is.
pub(super) fn check_words(source: &str) -> Result<(), String> {
    for (code, line, is_tag) in code_parts(source) {
        let tokens = tokens(code, line);
        if is_tag {
            let tag =
                tokens.iter().find(|token| is_word(token.text)).copied().unwrap_or(Token { text: "", line });
            check(tag, "tag", &TAGS)?;
        }
        for pair in tokens.windows(2) {
            match pair[0].text {
                "|" => check(pair[1], "filter", &FILTERS)?,
                "is" if is_word(pair[1].text) && pair[1].text != "not" => check(pair[1], "test", &TESTS)?,
                _ => {}
            }
        }
        for triple in tokens.windows(3) {
            if triple[0].text == "is" && triple[1].text == "not" && is_word(triple[2].text) {
                check(triple[2], "test", &TESTS)?;
            }
        }
    }
    Ok(())
}

/// Checks the variables of a template, with dots between names: `event.payload.ip`.
///
/// # Errors
/// A variable is unknown. The text says which, where, and what there is.
pub(super) fn check_variables(source: &str, used: HashSet<String>) -> Result<(), String> {
    let mut used: Vec<_> = used.into_iter().collect();
    used.sort_unstable();
    for variable in &used {
        let mut names = variable.split('.');
        let name = names.next().unwrap_or_default();
        let is_known =
            EVENT_VARIABLES.contains(&name) || ROOT_VARIABLES.contains(&name) || FUNCTIONS.contains(&name);
        let part = names.next().filter(|part| name == "event" && !EVENT_VARIABLES.contains(part));
        let unknown = if is_known { part } else { Some(name) };
        if let Some(unknown) = unknown {
            let known = EVENT_VARIABLES.iter().chain(&ROOT_VARIABLES);
            let known = known.copied().collect::<Vec<_>>().join(", ");
            let line = line_of(source, unknown);
            let shown = excerpt(if is_known { variable } else { name }, MAX_QUOTED_CHARS);
            return Err(format!(
                "the template, line {line}: `{shown}` is not a variable; use one of: {known}"
            ));
        }
    }
    Ok(())
}

fn check(token: Token<'_>, what: &str, known: &[&str]) -> Result<(), String> {
    let Token { text, line } = token;
    if known.contains(&text) {
        return Ok(());
    }
    let (known, text) = (known.join(", "), excerpt(text, MAX_QUOTED_CHARS));
    Err(format!("the template, line {line}: `{text}` is not a {what}; use one of: {known}"))
}

/// Returns the parts of a template that are tags or expressions, with their first line, and whether they are tags.
fn code_parts(source: &str) -> Vec<(&str, usize, bool)> {
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(open) = source[at..].find('{').map(|found| at + found) {
        let close = match source.get(open..open + 2) {
            Some("{#") => "#}",
            Some("{%") => "%}",
            Some("{{") => "}}",
            _ => {
                at = open + 1;
                continue;
            }
        };
        let inside = &source[open + 2..];
        let end = inside.find(close).unwrap_or(inside.len());
        if close != "#}" {
            let line = source[..open].matches('\n').count() + 1;
            parts.push((&inside[..end], line, close == "%}"));
        }
        at = (open + 2 + end + 2).min(source.len());
    }
    parts
}

/// Splits code into words and other characters, without the contents of its strings.
fn tokens(code: &str, first_line: usize) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut line = first_line;
    let mut chars = code.char_indices().peekable();
    while let Some((start, c)) = chars.next() {
        let mut end = start + c.len_utf8();
        if matches!(c, '"' | '\'') {
            while let Some((_, next)) = chars.next() {
                line += usize::from(next == '\n');
                match next {
                    '\\' => drop(chars.next()),
                    _ if next == c => break,
                    _ => {}
                }
            }
        } else if is_word_char(c) {
            while let Some((at, next)) = chars.next_if(|(_, next)| is_word_char(*next)) {
                end = at + next.len_utf8();
            }
        }
        if !c.is_whitespace() {
            tokens.push(Token { text: &code[start..end], line });
        }
        line += usize::from(c == '\n');
    }
    tokens
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_word(text: &str) -> bool {
    text.starts_with(is_word_char)
}

/// Returns the first line in which a word occurs.
fn line_of(source: &str, word: &str) -> usize {
    let has_word = |line: &str| line.split(|c| !is_word_char(c)).any(|part| part == word);
    source.lines().position(has_word).unwrap_or_default() + 1
}
