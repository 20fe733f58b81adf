//! The texts of errors of compilation.

use decnet_filter::{FUNCTIONS, Filter, MACROS, Position};

use crate::support::mistake;

const NAMES: &str = "the functions are cidr, contains, endsWith, lower, matches, size, startsWith, and the macros all, \
    exists, exists_one, filter, has, map";
const VARIABLES: &str = "the variables are id, payload, severity, topic, ts, type";

fn assert_mistakes(table: &[(&str, &str)]) {
    for (source, expected) in table {
        assert_eq!(mistake(source), format!("line 1, {expected}"), "{source}");
    }
}

#[test]
fn unknown_names_are_corrected() {
    for (source, expected) in [
        ("topic.startswith('a')", "column 7: unknown function `startswith`; write `text.startsWith(prefix)`"),
        ("topic.endWith('a')", "column 7: unknown function `endWith`; write `text.endsWith(suffix)`"),
        ("len(topic) > 1", "column 1: unknown function `len`; write `size(value)`"),
        ("toLower(topic) == 'a'", "column 1: unknown function `toLower`; write `lower(text)`"),
        ("payload.l.any(x, x)", "column 11: unknown function `any`; write `list.exists(x, condition)`"),
        ("now() > 1", "column 1: unknown function `now`"),
        ("timestamp(ts) > 1", "column 1: unknown function `timestamp`"),
    ] {
        assert_eq!(mistake(source), format!("line 1, {expected}; {NAMES}"));
    }
    for (source, expected) in [
        ("topics == 'a'", "column 1: unknown variable `topics`; write `topic`"),
        ("Payload.x == 1", "column 1: unknown variable `Payload`; write `payload`"),
        (
            "topic == attacker",
            "column 10: unknown variable `attacker`; write `payload.attacker` for a field of the payload, or \
             \"attacker\" for a string",
        ),
    ] {
        assert_eq!(mistake(source), format!("line 1, {expected}; {VARIABLES}"));
    }
}

#[test]
fn syntax_errors_say_what_to_write() {
    assert_mistakes(&[
        ("payload.port = 22", "column 14: unexpected character `=`; to compare, write `==`"),
        ("true & false", "column 6: unexpected character `&`; write `&&`"),
        ("true | false", "column 6: unexpected character `|`; write `||`"),
        ("topic == “a”", "column 10: unexpected character `“`; write a straight quotation mark, `\"` or `'`"),
        (
            "$.port == 22",
            "column 1: unexpected character `$`; a filter is an expression such as `payload.port == 22`",
        ),
        ("true and false", "column 6: expected an operator, found `and`; write `&&`"),
        ("true OR false", "column 6: expected an operator, found `OR`; write `||`"),
        ("not true", "column 1: expected a value, found `not`; write `!`"),
        (
            "topic contains 'a'",
            "column 7: expected an operator, found `contains`; write `topic.contains(\"text\")`",
        ),
        ("if true", "column 1: expected a value, found `if`; write `condition ? a : b`"),
        ("topic == ", "column 10: expected a value, found the end of the filter"),
        ("(true", "column 6: expected `)`, found the end of the filter"),
        ("true)", "column 5: expected an operator, found `)`"),
        ("[1 2] == []", "column 4: expected `,`, found a value"),
        ("payload.'x' == 1", "column 9: expected a field name, found a value"),
        ("true ? false", "column 13: expected `:`, found the end of the filter"),
        ("{'a' 1} == {}", "column 6: expected `:`, found a value"),
        ("true;", "column 5: expected an operator, found `;`"),
        ("in == 1", "column 1: expected a value, found `in`"),
        ("payload.`x == 1", "column 9: a field name in backticks is not closed"),
        ("topic == 'a", "column 10: the string is not closed with `'`"),
        ("topic == \"a\n\"", "column 10: the string is not closed with `\"`"),
        ("topic == '''a'", "column 10: the string is not closed with `'''`"),
        ("topic == b'a'", "column 10: bytes are not supported; write a string without the prefix `b`"),
        (
            r"topic.matches('\d')",
            r#"column 16: `\d` is not an escape; write `\\d`, or a raw string such as r"…""#,
        ),
        (
            r"topic == '\ud800'",
            r#"column 11: `\u` is not an escape; write `\\u`, or a raw string such as r"…""#,
        ),
        (
            "payload.ip == 10.0.0.1",
            "column 15: `10.0.0.1` is not a number, or is too large; write text in quotes",
        ),
        ("payload.x == 22abc", "column 14: `22abc` is not a number, or is too large; write text in quotes"),
        ("payload.x == 1e999", "column 14: `1e999` is not a number, or is too large; write text in quotes"),
    ]);
    let digits = "9".repeat(40);
    let expected = format!("column 14: `{digits}` is not a number, or is too large; write text in quotes");
    assert_mistakes(&[(&format!("payload.x == {digits}"), &expected)]);
}

#[test]
fn operands_of_the_wrong_kind_are_rejected() {
    assert_mistakes(&[
        (
            "topic",
            "column 1: the result is a string, but a filter must be true or false; compare it, such as with `==`",
        ),
        (
            "1 + 1",
            "column 3: the result is an int, but a filter must be true or false; compare it, such as with `==`",
        ),
        ("topic == 5", "column 7: `==` compares a string and an int, which are never equal"),
        ("topic != null", "column 7: `!=` compares a string and null, which are never equal"),
        ("topic < 5", "column 7: `<` does not apply to a string and an int"),
        ("payload.x < null", "column 11: `<` does not apply to null"),
        ("topic + 1 == ''", "column 7: `+` does not apply to a string and an int"),
        ("topic - payload.x == ''", "column 7: `-` does not apply to a string"),
        ("1.5 % 2 == 1", "column 5: `%` does not apply to a double and an int"),
        ("true + payload.x == 1", "column 6: `+` does not apply to a bool"),
        (
            "'a' in topic",
            "column 5: `in` does not apply to a string; to search in a string, write `text.contains(part)`",
        ),
        ("1 in {'a': 1}", "column 3: `in` does not apply to an int and a map"),
        ("topic && true", "column 7: `&&` does not apply to a string"),
        ("true || 1", "column 6: `||` does not apply to an int"),
        ("!topic", "column 1: `!` does not apply to a string"),
        ("-topic == ''", "column 1: `-` does not apply to a string"),
        ("topic ? true : false", "column 7: `?` does not apply to a string"),
        ("topic.x == 1", "column 7: a string does not have fields such as `x`"),
        ("topic.size == 1", "column 7: a string does not have fields such as `size`; write `size(value)`"),
        ("has(topic.x)", "column 11: a string does not have fields such as `x`"),
        ("topic[0] == 'a'", "column 6: `[]` does not apply to a string"),
        ("['a']['a'] == 1", "column 6: a list is indexed by an int, not by a string"),
        ("{'a': 1}[0] == 1", "column 9: a map is indexed by a string, not by an int"),
        ("payload[true] == 1", "column 8: an index is an int or a string, not a bool"),
        ("topic.startsWith(1)", "column 18: `startsWith` does not apply to an int"),
        ("size(5) == 1", "column 6: `size` does not apply to an int"),
        ("lower(1) == ''", "column 7: `lower` does not apply to an int"),
        ("topic.exists(x, true)", "column 1: `exists` does not apply to a string"),
        ("{'a': 1}.map(x, x) == []", "column 1: `map` does not apply to a map"),
        ("payload.l.all(x, 'a')", "column 18: `all` does not apply to a string"),
    ]);
}

#[test]
fn calls_of_the_wrong_form_show_the_right_one() {
    assert_mistakes(&[
        ("topic.startsWith()", "column 7: wrong arguments; write `text.startsWith(prefix)`"),
        ("topic.startsWith('a', 'b')", "column 7: wrong arguments; write `text.startsWith(prefix)`"),
        ("lower() == ''", "column 1: wrong arguments; write `lower(text)`"),
        ("exists(payload.l, x, true)", "column 1: wrong arguments; write `list.exists(x, condition)`"),
        ("payload.l.exists(true)", "column 11: wrong arguments; write `list.exists(x, condition)`"),
        ("payload.has(x)", "column 9: wrong arguments; write `has(payload.field)`"),
        (
            "has(payload)",
            "column 5: `has` tests a field; write `has(payload.field)`, or `\"key\" in payload` for a key",
        ),
        (
            "payload.l.exists(1, true)",
            "column 18: the first argument of `exists` is a name for the element, such as `x`",
        ),
        (
            "payload.l.exists(topic, true)",
            "column 18: `topic` is a variable of the event; choose another name, such as `x`",
        ),
        ("{payload.x: 1} == {}", "column 10: a key of a map must be a string literal"),
        ("{'a': 1, 'a': 2} == {}", "column 10: the map has the key `a` twice"),
    ]);
}

#[test]
fn patterns_and_networks_are_checked() {
    assert_mistakes(&[
        ("topic.matches(payload.x)", "column 23: the second argument of `matches` must be a string literal"),
        (
            "topic.matches('(a')",
            "column 15: `(a` is not a valid pattern: found open group without closing ')'",
        ),
        ("cidr(payload.ip, payload.x)", "column 26: the second argument of `cidr` must be a string literal"),
        (
            "cidr(payload.ip, '10.0.0/8')",
            "column 18: `10.0.0/8` is not a network; write one such as \"10.0.0.0/8\" or \"2001:db8::/32\"",
        ),
        (
            "cidr(payload.ip, '10.1.2.3/8')",
            "column 18: `10.1.2.3/8` has bits beyond its prefix; write \"10.0.0.0/8\"",
        ),
    ]);
}

#[test]
fn severities_are_compared_by_name_only() {
    let alphabetical = "compares strings alphabetically; write `severity in [\"high\", \"critical\"]`";
    let unknown = "`hgh` is not a severity; use info, low, medium, high or critical";
    assert_mistakes(&[
        ("severity >= 'high'", &format!("column 10: `>=` {alphabetical}")),
        ("'high' < severity", &format!("column 8: `<` {alphabetical}")),
        ("severity == 'hgh'", &format!("column 10: {unknown}")),
        ("'hgh' != severity", &format!("column 7: {unknown}")),
        ("severity in ['high', 'hgh']", &format!("column 10: {unknown}")),
    ]);
}

#[test]
fn quoted_parts_are_short_and_escaped() {
    let error = mistake(&format!("{} == 1", "x".repeat(500)));
    assert!(error.contains(&format!("`{}…`", "x".repeat(64))) && error.len() < 400, "{error}");
    assert_eq!(mistake("a\u{1b}[2J"), "line 1, column 2: unexpected character `\\u{1b}`");
    assert_eq!(mistake("topic == 1 ||\n\n  \u{202e}"), "line 3, column 3: unexpected character `\\u{202e}`");
}

#[test]
fn position_is_that_of_the_mistake() {
    let error = Filter::compile("'ä' == 'ä' &&\n 'ä' == x").unwrap_err();
    assert_eq!(error.position(), Position { line: 2, column: 9 });
}

#[test]
fn every_name_has_the_form_of_its_call() {
    for (name, form) in FUNCTIONS.iter().chain(&MACROS) {
        let source = form
            .replace("list.", "payload.l.")
            .replace("text", "payload.t")
            .replace("address", "payload.t")
            .replace("payload.t.matches(\"pattern\")", "payload.t.matches(\"p\")")
            .replace("(part", "(topic")
            .replace("(suffix", "(topic")
            .replace("(prefix", "(topic")
            .replace("condition", "x == 1")
            .replace("value", "payload.l");
        assert!(form.contains(name));
        let compiled =
            Filter::compile(&source).or_else(|_| Filter::compile(&format!("{source} == payload.x")));
        assert!(compiled.is_ok(), "{form}: {compiled:?}");
    }
}
