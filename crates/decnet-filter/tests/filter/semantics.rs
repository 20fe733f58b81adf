//! The values of expressions, mostly as in the CEL specification.

use decnet_core::event::Event;
use decnet_core::severity::Severity;
use decnet_core::time::UnixMicros;
use decnet_filter::{Budget, Filter, FilterInput};

use crate::support::evaluate;

const PAYLOAD: &str = r#"{
    "port": 22, "ratio": 0.5, "user": "root", "ok": true, "none": null, "src_ip": "192.0.2.17",
    "tags": ["ssh", "brute"], "nested": {"a": {"b": 1}}, "ports": [22, 23, 2222], "user-agent": "curl/8",
    "big": 18446744073709551616, "huge": 1234567890123456789012345678901234567890123, "empty": []
}"#;

fn assert_true(sources: &[&str]) {
    for source in sources {
        assert_eq!(evaluate(source, PAYLOAD), Ok(true), "{source}");
        assert_eq!(evaluate(&format!("!({source}\n)"), PAYLOAD), Ok(false), "{source}");
    }
}

/// Asserts that evaluation ends with an error.
fn assert_error(sources: &[&str]) {
    for source in sources {
        assert!(Filter::compile(source).is_ok(), "{source} does not compile");
        assert!(evaluate(source, PAYLOAD).is_err(), "{source}");
    }
}

#[test]
fn variables_are_those_of_the_event() {
    assert_true(&[
        r#"topic == "attacker.observed""#,
        r#"type == "observed""#,
        r#"id == "e1""#,
        r#"ts == "2026-04-24T00:00:00+00:00""#,
        r#"severity == "high""#,
        "payload.port == 22",
        r#"payload["port"] == 22"#,
        "payload.nested.a.b == 1",
        r#"payload.`user-agent` == "curl/8""#,
        "payload.tags[1] == 'brute'",
    ]);
}

#[test]
fn payloads_other_than_objects_are_values() {
    for (payload, source) in [
        (r#""text""#, r#"payload == "text""#),
        ("[1,2]", "payload[0] == 1 && size(payload) == 2"),
        ("7", "payload > 6 && !has(payload.x)"),
        ("true", "payload"),
    ] {
        assert_eq!(evaluate(source, payload), Ok(true), "{source}");
    }
}

#[test]
fn type_of_an_event_may_be_any_json() {
    let event = Event::from_bus("a", br#"{"type":{"n":[1]}}"#, UnixMicros(0), String::new).unwrap();
    let filter = Filter::compile("type.n[0] == 1").unwrap();
    assert_eq!(filter.evaluate(&FilterInput::new(&event, Severity::Info), &mut Budget::default()), Ok(true));
}

#[test]
fn decisive_operand_absorbs_errors_of_the_others() {
    assert_true(&[
        "payload.missing || true",
        "true || payload.missing",
        "!(payload.missing && false)",
        "!(false && payload.missing)",
        "payload.missing.x || payload.port == 22 || payload.missing",
        "1 / 0 == 1 || payload.user == 'root'",
        "payload.user || true",
        "payload.tags.exists(x, x == 'ssh' || x > 1)",
        "payload.tags.exists(x, x == 'brute' || 1 / 0 == 1)",
        "!payload.tags.all(x, x == 'ssh' && 1 / 0 == 1)",
    ]);
    assert_error(&[
        "payload.missing || false",
        "false || payload.missing",
        "payload.missing && true",
        "true && payload.missing",
        "payload.user && true",
        "payload.tags.exists(x, x == 'none' || 1 / 0 == 1)",
        "payload.tags.all(x, x != 'none' && 1 / 0 == 1)",
        "payload.tags.exists_one(x, x == 'ssh' || 1 / 0 == 1)",
        "payload.missing ? true : true",
    ]);
}

#[test]
fn only_the_selected_branch_is_evaluated() {
    assert_true(&[
        "true ? true : payload.missing",
        "false ? payload.missing : true",
        "payload.port == 23 ? false : payload.port == 22 ? true : false",
    ]);
}

#[test]
fn values_of_different_kinds_are_unequal() {
    assert_true(&[
        "payload.port != 'x'",
        "payload.port != '22'",
        "payload.none == null",
        "payload.user != null",
        "payload.tags != payload.nested",
        "payload.tags == ['ssh', 'brute']",
        "payload.tags != ['brute', 'ssh']",
        "payload.tags != ['ssh']",
        "payload.nested == {'a': {'b': 1.0}}",
        "payload.nested != {'a': {'c': 1}}",
        "payload.nested != {}",
    ]);
}

#[test]
fn numbers_are_compared_by_value() {
    assert_true(&[
        "payload.port == 22.0",
        "payload.port < 22.5 && payload.port >= 22 && payload.port <= 22u && payload.port > 0x15",
        "payload.ratio < 1 && payload.ratio > -1 && payload.ratio == 5e-1",
        "payload.big == 18446744073709551616",
        "payload.big != 18446744073709551617",
        "payload.big > 9223372036854775807",
        "payload.huge > payload.big && payload.huge == 1.2345678901234567e42",
    ]);
}

#[test]
fn strings_and_bools_are_ordered() {
    assert_true(&[
        "payload.user > 'r' && payload.user < 's' && payload.user >= 'root' && payload.user <= 'root'",
        "'Z' < 'a' && 'a' < 'ä' && 'ä' < '中' && '中' < '🦀'",
        "ts >= '2026-04-24' && ts < '2026-04-25'",
        "false < payload.ok",
    ]);
    assert_error(&["payload.user < payload.port", "payload.none < 1", "payload.tags < payload.tags"]);
}

#[test]
fn arithmetic_has_128_bits_and_mixes_numbers() {
    assert_true(&[
        "payload.port + 1 == 23 && payload.port - 23 == -1 && payload.port * 2 == 44",
        "payload.port / 4 == 5 && payload.port % 4 == 2 && -payload.port / 4 == -5 && -payload.port % 4 == -2",
        "payload.port / 4.0 == 5.5 && payload.ratio + 1 == 1.5",
        "1 + 2 * 3 - 4 == 3 && (1 + 2) * 3 == 9 && 10 - 2 - 3 == 5",
        "payload.big * 2 == 36893488147419103232",
        "payload.user + '!' == 'root!'",
        "1.0 / 0.0 > payload.huge && !(0.0 / 0.0 == 0.0 / 0.0) && !(0.0 / 0.0 < 1.0)",
    ]);
    assert_error(&[
        "payload.port / 0 == 1",
        "payload.port % 0 == 1",
        "170141183460469231731687303715884105727 + payload.port > 0",
        "payload.big * payload.big * payload.big > 0",
        "payload.user + 1 == ''",
        "payload.port + payload.user == ''",
        "payload.ratio % 1 == 0",
        "-payload.user == 1",
    ]);
}

#[test]
fn membership_is_that_of_elements_and_keys() {
    assert_true(&[
        "payload.port in [21, 22, 23]",
        "payload.port in payload.ports",
        "!(payload.port in [])",
        "'ssh' in payload.tags && !('telnet' in payload.tags)",
        "'user-agent' in payload && !('x' in payload)",
        "payload.user in {'root': 1, 'admin': 2}",
        "payload.user in ['a', payload.user]",
        "22.0 in payload.ports && !('22' in payload.ports)",
    ]);
    assert_error(&["'r' in payload.user", "1 in payload.nested", "1 in payload.none"]);
}

#[test]
fn text_functions_compare_text() {
    assert_true(&[
        "topic.startsWith('attacker.') && !topic.startsWith('observed')",
        "topic.endsWith('.observed') && !topic.endsWith('attacker')",
        "topic.contains('er.ob') && topic.contains('') && !topic.contains('x')",
        "startsWith(topic, 'attacker') && contains(payload.user, 'oo')",
        "lower('ROOT') == payload.user && 'ÄB-c'.lower() == 'äb-c' && lower(payload.user) == 'root'",
        "size(payload.user) == 4 && payload.user.size() == 4 && size('äöü') == 3 && size('') == 0",
        "size(payload.tags) == 2 && size(payload.nested) == 1 && size([]) == 0",
    ]);
    assert_error(&["payload.port.contains('2')", "lower(payload.port) == ''", "size(payload.port) == 1"]);
}

#[test]
fn patterns_search_anywhere_unless_anchored() {
    assert_true(&[
        "topic.matches('observ') && !topic.matches('^observ') && topic.matches('^attacker[.]observed$')",
        r"payload.`user-agent`.matches('^curl/\\d+$') && matches(payload.`user-agent`, r'curl/\d')",
        "'cURL'.matches('(?i)^curl$')",
        "ts.matches('T0[0-5]:')",
    ]);
    assert_error(&["payload.port.matches('2')"]);
}

#[test]
fn networks_contain_addresses() {
    assert_true(&[
        "cidr(payload.src_ip, '192.0.2.0/24') && !cidr(payload.src_ip, '10.0.0.0/8')",
        "cidr(payload.src_ip, '192.0.2.17') && !cidr(payload.src_ip, '192.0.2.18')",
        "cidr(payload.src_ip, '0.0.0.0/0') && !cidr(payload.src_ip, '::/0')",
        "cidr('2001:db8::1', '2001:db8::/32') && !cidr('2001:db9::1', '2001:db8::/32')",
        "cidr('::ffff:10.1.2.3', '10.0.0.0/8') && cidr('::ffff:10.1.2.3', '::ffff:0:0/96')",
        "payload.src_ip.cidr('192.0.2.0/24')",
    ]);
    assert_error(&[
        "cidr(payload.user, '10.0.0.0/8')",
        "cidr(payload.port, '10.0.0.0/8')",
        "cidr('', '::/0')",
    ]);
}

#[test]
fn has_tests_a_path_without_errors() {
    assert_true(&[
        "has(payload.user) && has(payload.none) && has(payload.nested.a.b)",
        "!has(payload.missing) && !has(payload.missing.x) && !has(payload.user.x) && !has(payload.tags.x)",
        "has(payload.user) && payload.user == 'root'",
        "has({'a': 1}.a) && !has({'a': 1}.b)",
        "has(payload.`user-agent`)",
    ]);
    assert_error(&["has(payload.ports[1 / 0].x)"]);
}

#[test]
fn comprehensions_visit_elements_and_keys() {
    assert_true(&[
        "payload.ports.exists(p, p > 1000) && payload.ports.all(p, p > 20)",
        "!payload.ports.exists(p, p > 3000) && !payload.ports.all(p, p > 22)",
        "!payload.empty.exists(p, true) && payload.empty.all(p, false)",
        "payload.ports.exists_one(p, p == 23) && !payload.ports.exists_one(p, p < 100)",
        "payload.ports.filter(p, p < 100) == [22, 23] && size(payload.empty.filter(p, true)) == 0",
        "payload.ports.map(p, p * 2) == [44, 46, 4444]",
        "payload.ports.filter(p, p > 22).map(p, p + payload.port) == [45, 2244]",
        "payload.nested.exists(k, k == 'a') && {'x': 1, 'y': 2}.all(k, k in ['x', 'y'])",
        "payload.tags.exists(t, t.startsWith('s') && payload.user == 'root')",
        "[payload.port, 1].exists(p, p == 22)",
    ]);
    assert_error(&[
        "payload.user.exists(c, true)",
        "payload.nested.map(k, k) == []",
        "payload.ports.map(p, p.x) == []",
        "payload.ports.filter(p, p.x) == []",
        "payload.ports.filter(p, p) == []",
    ]);
}

#[test]
fn literals_are_decoded_as_in_cel() {
    assert_true(&[
        r#""a\tb\n\\\"\'\x41\u00e9\U0001F980\101\?\`" == 'a	b' + "\u000a\\" + '"' + "'Aé🦀A?`""#,
        r"r'\d' == '\\d' && R'''a'b''' == 'a\'b'",
        "'''two\nlines''' == 'two\\nlines'",
        "\"\"\"say \"hi\" \"\"\" == 'say \"hi\" '",
        "'' == \"\" && size('''''') == 0",
        "0x1F == 31 && 0Xffu == 255 && 1e3 == 1000 && 1.5E-1 == 0.15 && 7u == 7 && -0x10 == -16",
        "- -1 == 1 && !!true && -9223372036854775808 < 0",
        "[1, 2, ] == [1, 2] && {'a': 1,}.a == 1 && {'b': 2, 'a': 1} == {'a': 1, 'b': 2}",
    ]);
}

#[test]
fn operators_bind_as_in_cel() {
    assert_true(&[
        "true || false && false",
        "!(false && true || false)",
        "1 + 1 == 2 && 2 == 1 + 1",
        "!false == true",
        "1 < 2 == true",
        "-1 + 2 == 1",
        "true ? true : false || false",
        "1 in [1] && !(2 in [1])",
        "[1, 2][1] + 1 == 3",
        "// a comment\n payload.port == 22 // another",
    ]);
}
