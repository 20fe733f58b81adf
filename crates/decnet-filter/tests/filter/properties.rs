//! Properties of any filter and any event.

use decnet_core::severity::Severity;
use decnet_filter::{Budget, Filter, FilterInput, MAX_EVENT_STEPS, MAX_FILTER_STEPS};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use crate::support::event;

/// Texts with the tokens of CEL in any order.
fn token_soup() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        4 => "payload|topic|severity|type|x|true|null|in|has|all|exists|filter|map|matches|cidr|lower|size",
        4 => r#"[-+*/%!<>=&|?:.,()\[\]{}`"' ;]{1,2}"#,
        1 => r#"[0-9]{1,3}|0x[0-9a-f]{1,2}|[0-9]\.[0-9]|1e[0-9]{1,3}|"[a-z*+.()\\]{0,4}"|r'[a-z\\.]{0,3}'"#,
        1 => ".{0,3}",
    ];
    proptest::collection::vec(token, 0..24).prop_map(|tokens| tokens.concat())
}

/// Values that may have any kind. `x` is the element of a comprehension.
fn dynamic() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        Just("payload".to_owned()),
        "payload(\\.[ab]){1,2}",
        "payload\\.[ab]\\[[0-2]\\]",
        "payload\\[\"[ab]\"\\]",
        Just("x".to_owned()),
        Just("type".to_owned()),
    ];
    leaf.boxed()
}

fn value(depth: u32) -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        6 => dynamic(),
        1 => "-?[0-9]{1,2}|[0-9]\\.5|170141183460469231731687303715884105727",
        1 => "'[a-c]{0,2}'|topic|ts",
        1 => Just("[1, 'a', payload.a]".to_owned()),
        1 => Just("{'a': 1, 'b': payload}".to_owned()),
    ];
    if depth == 0 {
        return leaf.boxed();
    }
    prop_oneof![
        4 => leaf,
        2 => (dynamic(), "[-+*/%]", value(depth - 1)).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
        1 => (dynamic(), "lower|size|-").prop_map(|(a, name)| format!("{name}({a})")),
        1 => (dynamic(), dynamic()).prop_map(|(a, b)| format!("{a}[{b}]")),
        1 => (condition(depth - 1), value(depth - 1), value(depth - 1))
            .prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
    ]
    .boxed()
}

fn condition(depth: u32) -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        4 => (value(depth), "==|!=|<|<=|>|>=|in", dynamic()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        1 => (dynamic(), "contains|startsWith|endsWith", dynamic())
            .prop_map(|(a, name, b)| format!("{a}.{name}({b})")),
        1 => dynamic().prop_map(|a| format!("{a}.matches('(a|b)*c?$')")),
        1 => dynamic().prop_map(|a| format!("cidr({a}, '10.0.0.0/8')")),
        1 => dynamic().prop_map(|a| format!("has({a}.a)")),
        1 => dynamic(),
    ];
    if depth == 0 {
        return leaf.boxed();
    }
    let joined = (condition(depth - 1), "&&|\\|\\|", condition(depth - 1));
    prop_oneof![
        2 => leaf,
        2 => joined.prop_map(|(a, op, b)| format!("({a} {op} {b})")),
        1 => condition(depth - 1).prop_map(|a| format!("!({a})")),
    ]
    .boxed()
}

/// Filters that mostly compile, with and without comprehensions.
fn filter() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => condition(3).prop_map(|each| outside_comprehensions(&each)),
        2 => (dynamic(), "all|exists|exists_one", condition(2))
            .prop_map(|(range, name, body)| format!("{}.{name}(x, {body})", outside_comprehensions(&range))),
        1 => (condition(1), value(1), dynamic()).prop_map(|(condition, value, end)| {
            let end = outside_comprehensions(&end);
            format!("payload.filter(x, {condition}).map(x, {value}) == {end}")
        }),
    ]
}

/// Replaces the element of a comprehension.
fn outside_comprehensions(source: &str) -> String {
    source.replace('x', "payload")
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-c]{0,3}|.{0,3}".prop_map(Value::from),
        Just(Value::from("a".repeat(3000))),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec(("[abx]", inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn compilation_never_panics(text: String, soup in token_soup()) {
        for source in [text, soup] {
            if let Ok(filter) = Filter::compile(&source) {
                prop_assert_eq!(filter.source(), source);
            }
        }
    }

    #[test]
    fn evaluation_ends_within_the_budget(source in filter(), payload in json()) {
        if let Ok(filter) = Filter::compile(&source) {
            let event = event(&payload.to_string());
            let input = FilterInput::new(&event, Severity::Low);
            let mut budget = Budget::default();
            let first = filter.evaluate(&input, &mut budget);
            let used = MAX_EVENT_STEPS - budget.steps_left();
            prop_assert!((1..=MAX_FILTER_STEPS).contains(&used), "{} steps", used);
            // The result depends on the filter and the event alone.
            let second = filter.evaluate(&input, &mut budget);
            prop_assert_eq!(&first, &second);
            prop_assert_eq!(budget.steps_left(), MAX_EVENT_STEPS - 2 * used);
        }
    }

    #[test]
    fn logical_operators_are_commutative(a in condition(2), b in condition(2), payload in json()) {
        let payload = payload.to_string();
        for operator in ["&&", "||"] {
            let evaluate = |left: &str, right: &str| {
                let source = outside_comprehensions(&format!("({left}) {operator} ({right})"));
                let filter = Filter::compile(&source).ok()?;
                let event = event(&payload);
                Some(filter.evaluate(&FilterInput::new(&event, Severity::Low), &mut Budget::default()).ok())
            };
            prop_assert_eq!(evaluate(&a, &b), evaluate(&b, &a));
        }
    }
}

#[test]
fn generated_filters_mostly_compile() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let compiled = (0..500).filter(|_| {
        let source = filter().new_tree(&mut runner).unwrap().current();
        Filter::compile(&source).is_ok()
    });
    let compiled = compiled.count();
    assert!(compiled > 400, "{compiled} of 500");
}
