//! The texts of errors of evaluation.

use decnet_core::event::Event;
use decnet_core::severity::Severity;
use decnet_core::time::UnixMicros;
use decnet_filter::{Budget, Filter, FilterInput, Position};

use crate::support::{evaluate, event};

#[test]
fn errors_name_the_place_and_the_cause() {
    let payload = r#"{"user":"root","port":22,"list":[1],"map":{"a":1},"none":null}"#;
    for (source, expected) in [
        (
            "payload.usr == 'root'",
            "column 9: `payload.usr` does not exist; test it first with `has(payload.usr)`",
        ),
        (
            "payload.map.b == 1",
            "column 13: `payload.map.b` does not exist; test it first with `has(payload.map.b)`",
        ),
        ("payload.list[1] == 1", "column 13: `payload.list[…]` does not exist"),
        ("payload.list[-1] == 1", "column 13: `payload.list[…]` does not exist"),
        (
            "payload.user.name == ''",
            "column 14: `payload.user` is a string, which does not have fields such as `name`",
        ),
        ("payload.none.x == 1", "column 14: `payload.none` is null, which does not have fields such as `x`"),
        ("payload.list.all(x, x.y)", "column 23: `x` is an int, which does not have fields such as `y`"),
        ("payload.user < 3", "column 14: `<` does not apply to a string and an int"),
        ("3 in payload.user", "column 3: `in` does not apply to an int and a string"),
        ("payload.user + 1 == 2", "column 14: `+` does not apply to a string and an int"),
        ("payload.map[payload.port] == 1", "column 12: `[]` does not apply to a map and an int"),
        ("payload.port && true", "column 14: `&&` does not apply to an int"),
        ("!payload.port", "column 1: `!` does not apply to an int"),
        ("payload.port ? true : false", "column 14: `?` does not apply to an int"),
        ("payload.port.startsWith('2')", "column 14: `startsWith` does not apply to an int"),
        ("payload.user.all(x, true)", "column 14: `all` does not apply to a string"),
        ("payload.list.all(x, x)", "column 14: `all` does not apply to an int"),
        ("payload.map.map(x, x) == []", "column 13: `map` does not apply to a map"),
        ("size(payload.none) == 0", "column 1: `size` does not apply to null"),
        ("cidr(payload.user, '10.0.0.0/8')", "column 1: the first argument of `cidr` is not an IP address"),
        ("payload.port / (payload.port - 22) == 0", "column 14: the right side of `/` is 0; test it first"),
        (
            "170141183460469231731687303715884105727 + payload.port > 0",
            "column 41: the result of `+` exceeds 128 bits",
        ),
        ("payload.user", "column 9: the result is a string, but a filter must be true or false"),
    ] {
        assert_eq!(evaluate(source, payload), Err(format!("line 1, {expected}")), "{source}");
    }
}

#[test]
fn errors_do_not_contain_the_event() {
    let payload = r#"{"user":"SECRET","map":{"SECRET":1}}"#;
    for source in ["payload.user < 1", "cidr(payload.user, '10.0.0.0/8')", "payload.map[payload.user].x == 1"]
    {
        let error = evaluate(source, payload).unwrap_err();
        assert!(!error.contains("SECRET"), "{error}");
    }
}

#[test]
fn erased_events_have_a_topic_but_no_payload() {
    let erased = Event::stored("e".into(), "a.b".into(), Vec::new().into(), UnixMicros(0));
    let input = FilterInput::new(&erased, Severity::Low);
    let evaluate = |source| Filter::compile(source).unwrap().evaluate(&input, &mut Budget::default());
    assert_eq!(evaluate("topic == 'a.b' && id == 'e'"), Ok(true));
    let expected = "line 1, column 1: `payload` cannot be read, because the event has been erased";
    assert_eq!(evaluate("payload.x == 1").unwrap_err().to_string(), expected);
}

#[test]
fn positions_count_lines_and_characters() {
    let filter =
        Filter::compile("'äöü' == '' ||\n  payload.größe_ == 1".replace("größe_", "x").as_str()).unwrap();
    let event = event("{}");
    let error =
        filter.evaluate(&FilterInput::new(&event, Severity::Low), &mut Budget::default()).unwrap_err();
    assert_eq!(error.position(), Position { line: 2, column: 11 });
}
