//! The bounds of filters and of their evaluation.

use decnet_core::limits::MAX_FILTER_BYTES;
use decnet_core::severity::Severity;
use decnet_filter::{Budget, Filter, FilterInput, MAX_DEPTH, MAX_EVENT_STEPS, MAX_FILTER_STEPS, MAX_NODES};

use crate::support::{evaluate, event, mistake};

#[test]
fn size_of_the_source_is_bounded() {
    let padded = |length: usize| format!("true{}", " ".repeat(length - 4));
    assert!(Filter::compile(&padded(MAX_FILTER_BYTES)).is_ok());
    let expected = "line 1, column 1: the filter has 2049 bytes; the maximum is 2048";
    assert_eq!(mistake(&padded(MAX_FILTER_BYTES + 1)), expected);
    let empty = "line 1, column 1: the filter is empty; write `true` to accept every event";
    assert_eq!(mistake(""), empty);
    assert_eq!(mistake(" \n"), empty);
}

#[test]
fn depth_is_bounded() {
    for (open, close) in [("(", ")"), ("size([", "]) == 0"), ("true ? true : ", "")] {
        let nested = |depth: usize| format!("{}true{}", open.repeat(depth), close.repeat(depth));
        let per_level = open.matches(['(', '[', '?']).count();
        let most = (MAX_DEPTH - 1) / per_level;
        assert!(!Filter::compile(&nested(most)).is_err_and(|error| error.to_string().contains("deeper")));
        assert!(mistake(&nested(most + 1)).contains(": nested deeper than 32 levels"), "{open}");
    }
}

/// A text of this form needed more than a gigabyte of memory in a generated parser of CEL.
#[test]
fn dense_brackets_are_rejected_at_once() {
    let motif = "!!(!!!!!!(!!!!(((((!!(!!(!!!!((".repeat(4) + "1";
    assert!(mistake(&motif).contains("nested deeper than 32 levels"));
}

#[test]
fn number_of_nodes_is_bounded() {
    let list = |elements: usize| format!("payload.x in [{}]", "1,".repeat(elements));
    // The list itself, `in`, the field and `payload` are nodes too.
    assert!(Filter::compile(&list(MAX_NODES - 4)).is_ok());
    let expected = "line 1, column 11: the filter has more than 256 names, values and operators";
    assert_eq!(mistake(&list(MAX_NODES - 3)), expected);
    for chain in [
        "!".repeat(2000) + "true",
        "-".repeat(2000) + "payload.x == 1",
        "payload".to_owned() + &".x".repeat(900),
    ] {
        assert!(mistake(&chain).contains("more than 256"), "{chain}");
    }
}

#[test]
fn longest_chains_fit_a_small_stack() {
    let payload = format!("{}1{}", r#"{"x":"#.repeat(250), "}".repeat(250));
    let chains = [
        format!("{}true", "!".repeat(254)),
        format!("payload{} == 1", ".x".repeat(250)),
        format!("1{} == 128", " + 1".repeat(126)),
        "payload == payload".to_owned(),
        format!("{}true{}", "(".repeat(MAX_DEPTH - 1), ")".repeat(MAX_DEPTH - 1)),
    ];
    let evaluate_all = move || {
        for source in chains {
            assert!(evaluate(&source, &payload).is_ok(), "{source}");
        }
    };
    let thread = std::thread::Builder::new().stack_size(1024 * 1024).spawn(evaluate_all).unwrap();
    thread.join().unwrap();
}

#[test]
fn number_and_depth_of_comprehensions_are_bounded() {
    assert!(Filter::compile("payload.a.filter(x, x > 1).exists(x, x == 2)").is_ok());
    let three = "payload.a.all(x, x) && payload.a.all(x, x) && payload.a.all(x, x)";
    assert_eq!(mistake(three), "line 1, column 57: the filter has more than 2 comprehensions");
    for nested in ["payload.a.all(x, x.all(y, y))", "payload.a.all(x, payload.b.exists(y, y == x))"] {
        assert!(
            mistake(nested).contains("is inside another comprehension, which is not supported"),
            "{nested}"
        );
    }
}

#[test]
fn size_of_patterns_is_bounded() {
    let error = mistake("topic.matches('(a{0,100}){0,100}')");
    assert!(error.starts_with("line 1, column 15: `(a{0,100}){0,100}` is not a valid pattern: "), "{error}");
    assert!(mistake(&format!("topic.matches('{}')", "(".repeat(1000))).contains("is not a valid pattern"));
}

#[test]
fn one_filter_cannot_use_up_the_budget() {
    let payload = format!("[{}0]", "1,".repeat(MAX_FILTER_STEPS));
    let event = event(&payload);
    let input = FilterInput::new(&event, Severity::Low);
    let (greedy, modest) = (Filter::compile("payload.all(x, x < 2)"), Filter::compile("payload[0] == 1"));
    let (greedy, modest) = (greedy.unwrap(), modest.unwrap());
    let mut budget = Budget::default();
    for _ in 0..MAX_EVENT_STEPS / MAX_FILTER_STEPS - 1 {
        let error = greedy.evaluate(&input, &mut budget).unwrap_err().to_string();
        assert!(
            error.contains("the filter needs more than 100000 steps for this event; test cheaper"),
            "{error}"
        );
        assert_eq!(modest.evaluate(&input, &mut budget), Ok(true));
    }
    let error = greedy.evaluate(&input, &mut budget).unwrap_err().to_string();
    let expected = "the filters together need more than 1000000 steps for this event; simplify those with \
                    comprehensions or `matches`";
    assert!(error.ends_with(expected), "{error}");
    assert!(modest.evaluate(&input, &mut budget).unwrap_err().to_string().ends_with(expected));
    assert_eq!(modest.evaluate(&input, &mut Budget::default()), Ok(true));
}

#[test]
fn exhaustion_is_not_absorbed() {
    let payload = format!(r#"{{"t":"{}","l":[{}0]}}"#, "x".repeat(300_000), "1,".repeat(60_000));
    for source in [
        "payload.l.all(x, x < 2) || true",
        "true && payload.l.exists(x, x == 2)",
        "payload.l.exists(x, payload.t.contains('y')) || true",
        "payload.t.matches('a|b|c|d') || true",
        "!(payload.t.matches('(a?){30}') && false)",
        "lower(payload.t + 'X') + lower(payload.t + 'X') == '' || true",
        "payload.l.map(x, payload.t) == [] || true",
        "payload.l == payload.l && payload.l == payload.l || true",
    ] {
        let result = evaluate(source, &payload);
        assert!(
            result.as_ref().is_err_and(|error| error.contains("more than 100000 steps")),
            "{source}: {result:?}"
        );
    }
}

#[test]
fn text_of_a_megabyte_can_be_searched_once() {
    let payload = format!(r#"{{"t":"{}"}}"#, "x".repeat(1_000_000));
    assert_eq!(evaluate("payload.t.contains('y')", &payload), Ok(false));
    assert_eq!(evaluate("payload.t.startsWith('x') && payload.t.endsWith('x')", &payload), Ok(true));
    assert_eq!(evaluate("payload.t == 'x'", &payload), Ok(false));
}

#[test]
fn thousand_typical_filters_fit_the_budget() {
    let event = event(r#"{"port":22,"src_ip":"192.0.2.1"}"#);
    let input = FilterInput::new(&event, Severity::Low);
    let source = r#"topic.startsWith("attacker.") && payload.port == 22 && payload.src_ip != "10.0.0.1""#;
    let filter = Filter::compile(source).unwrap();
    let mut budget = Budget::default();
    for _ in 0..1000 {
        assert_eq!(filter.evaluate(&input, &mut budget), Ok(true));
    }
}

#[test]
fn filters_can_be_shared_between_threads() {
    fn is_shareable<T: Send + Sync + Clone>(_: &T) {}
    let filter = Filter::compile("true").unwrap();
    is_shareable(&filter);
    assert_eq!(filter.clone().source(), "true");
    assert_eq!(format!("{filter:?}"), "Filter(\"true\")");
}
