//! What attackers write.

use proptest::prelude::*;

use super::*;
use crate::testing::{hostile, hostile_sample};

#[test]
fn results_of_filters_and_operators_are_escaped() {
    let text = "a\"b\\c\n{{ x }}";
    let samples = [sample(&json!({"t": text, "l": [text, "z"], "m": {text: 1}}))];
    for (expression, expected) in [
        ("payload.t", text.to_owned()),
        ("payload.t ~ '\"'", format!("{text}\"")),
        ("'\"' ~ payload.t ~ 1", format!("\"{text}1")),
        ("payload.t + payload.t", text.repeat(2)),
        ("payload.t * 2", text.repeat(2)),
        ("payload.t[1:]", text[1..].to_owned()),
        ("payload.t|upper", text.to_uppercase()),
        ("payload.t|replace('a', '\"\"')", text.replace('a', "\"\"")),
        ("payload.t|list|join", text.to_owned()),
        ("payload.l|join('\"')", format!("{text}\"z")),
        ("payload.l|first", text.to_owned()),
        ("payload.t|lines|join('\\n')", text.to_owned()),
        ("payload.t|split('b')|last", "\\c\n{{ x }}".to_owned()),
        ("payload.t|indent(2)", "a\"b\\c\n  {{ x }}".to_owned()),
        ("'%s\"'|format(payload.t)", format!("{text}\"")),
        ("payload.t|default('x')", text.to_owned()),
        ("payload.t|truncate(4)", "a\"b…".to_owned()),
        ("payload.t|defang", text.to_owned()),
        ("payload.m|list|first", text.to_owned()),
        ("payload.m|items|map('first')|join", text.to_owned()),
        ("(payload.t|tojson)|string", json!(text).to_string()),
        ("(payload.t|tojson) ~ ''", json!(text).to_string()),
        ("[payload.t|tojson]|join", json!(text).to_string()),
        ("payload.t if payload.t else ''", text.to_owned()),
    ] {
        let json = render(&format!("{{\"v\": \"{{{{ {expression} }}}}\"}}"), &samples);
        let value: Value =
            serde_json::from_str(&json).unwrap_or_else(|error| panic!("{expression}: {error}: {json}"));
        assert_eq!(value["v"], expected, "{expression}");
    }
}

#[test]
fn tojson_is_written_once_in_json_and_escaped_elsewhere() {
    let payload = json!({"b": [1, -2.5, null, true], "a": {"ä\"": "<&\n"}, "big": u64::MAX});
    let samples = [sample(&payload)];
    let json: Value = serde_json::from_str(&render("{\"p\": {{ payload|tojson }}}", &samples)).unwrap();
    assert_eq!(json["p"], payload);
    assert_eq!(render("{{ payload.b|tojson(indent=1) }}", &samples), "[\n 1,\n -2.5,\n null,\n true\n]");
    let slack = render_with("{{ payload.a|tojson }}", SLACK, &samples).unwrap();
    assert!(slack.contains("&lt;&amp;\\n"), "{slack}");
}

#[test]
fn links_work_in_chat_formats_while_those_of_events_do_not() {
    let samples = [sample(&json!({"url": "https://evil.example/x"}))];
    let text = render_with(
        "<{{ link }}|more> {{ permalink('a/b') }} {{ id|permalink }} {{ payload.url }}",
        SLACK,
        &samples,
    )
    .unwrap();
    let expected = "<https://decnet.example/deliveries?event_id=e-1|more> https://decnet.example/deliveries?event_id=a%2Fb https://decnet.example/deliveries?event_id=e-1 ";
    assert!(text.starts_with(expected), "{text}");
    assert!(!text.contains("https://evil"), "{text}");
}

proptest! {
    #[test]
    fn hostile_text_cannot_break_json(text in hostile(), sample in hostile_sample()) {
        let user = self::sample(&json!({"username": text, "x": text}));
        let source = r#"{"text": "{{ payload.x }}", "t": "{{ title }}", "e": {{ event|tojson }}, "l": ["{{ link }}"]}"#;
        for sample in [&user, &sample] {
            let finding = [sample.finding()];
            let body = Template::new(source, JSON, LINKS).unwrap().render(&finding).unwrap();
            let value: Value = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(&value["text"], &finding[0].payload["x"]);
            prop_assert_eq!(value["t"].as_str(), Some(&*finding[0].title));
            prop_assert_eq!(&value["e"]["payload"], finding[0].payload);
            prop_assert_eq!(value.as_object().unwrap().len(), 4);
        }
    }
}
