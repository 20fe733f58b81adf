//! Variables, helpers and errors of templates.

mod escaping;
mod limits;

use decnet_core::severity::Severity;
use serde_json::{Value, json};

use super::*;
use crate::escape;
use crate::testing::Sample;

const JSON: Markup = Markup { escape: escape::json::write, is_json: true };
const SLACK: Markup = Markup { escape: escape::slack, is_json: false };
const LINKS: Option<&str> = Some("https://decnet.example/");

fn render_with(source: &str, markup: Markup, samples: &[Sample]) -> Result<String, RenderError> {
    let findings: Vec<Finding<'_>> = samples.iter().map(Sample::finding).collect();
    Template::new(source, markup, LINKS).unwrap().render(&findings)
}

fn render(source: &str, samples: &[Sample]) -> String {
    render_with(source, JSON, samples).unwrap()
}

fn sample(payload: &Value) -> Sample {
    Sample::new("e-1", "attacker.observed", Severity::Low, payload)
}

fn creation_error(source: &str) -> String {
    Template::new(source, JSON, None).err().map(|error| error.to_string()).unwrap_or_default()
}

fn rendering_error(source: &str) -> String {
    render_with(source, JSON, &[sample(&json!({"a": 1, "text": "x", "list": [1, 2]}))])
        .unwrap_err()
        .to_string()
}

#[test]
fn every_variable_has_its_value() {
    for (variable, expected) in [
        ("id", "e-1"),
        ("topic", "credential.captured"),
        ("type", "captured"),
        ("ts", "2026-04-24T00:00:00.123456+00:00"),
        ("severity", "high"),
        ("source_ip", "203.0.113.9"),
        ("source_port", "51422"),
        ("target", "decky-03"),
        ("service", "ssh"),
        ("user", "root"),
        ("user_agent", "curl/8.5.0"),
        ("path", "/wp-login.php?a=1"),
        ("dns_name", "evil.example"),
        ("techniques|join(\",\")", "T1110,T1078"),
        ("link", "https://decnet.example/deliveries?event_id=e-1"),
        ("payload.country", "NL"),
    ] {
        assert_eq!(render(&format!("{{{{ {variable} }}}}"), &[Sample::typical()]), expected, "{variable}");
        assert_eq!(
            render(&format!("{{{{ event.{variable} }}}}"), &[Sample::typical()]),
            expected,
            "{variable}"
        );
    }
    assert_eq!(render("{{ token }}", &[sample(&json!({"token_id": "c-1"}))]), "c-1");
    assert!(render("{{ title }}", &[Sample::typical()]).contains("203.0.113.9"));
}

#[test]
fn permalink_of_a_text_that_is_not_an_id_is_missing() {
    for text in ["'a b'", "''", "('x' * 129)", "'a.b'"] {
        let source = format!("{{{{ permalink({text}) is defined }}}}{{{{ {text}|permalink is defined }}}}");
        assert_eq!(render(&source, &[sample(&json!({}))]), "falsefalse", "{text}");
    }
}

#[test]
fn digest_lists_all_events() {
    let samples = [1, 2, 3].map(|n| sample(&json!({"n": n, "decky_name": format!("d{n}")})));
    let source = "{{ events|length }}:{% for e in events %} {{ loop.index }}={{ e.target }}/{{ e.payload.n }}{% endfor %} {{ target }}";
    assert_eq!(render(source, &samples), "3: 1=d1/1 2=d2/2 3=d3/3 d1");
}

#[test]
fn missing_values_are_errors_that_name_them() {
    for (source, problem) in [
        ("{{ user }}", "line 1: `user` is missing; check it with `if`"),
        ("a\n\n{{ payload.nothing }}", "line 3: `payload.nothing` is missing"),
        ("{{ event.payload.a.b }}", "`event.payload.a.b` is missing"),
        ("{{ payload.x.y }}", "`payload.x` is missing"),
        ("{{ events[1].title }}", "`events[1]` is missing"),
        ("{{ user|upper }}", "`user` is missing"),
        ("{{ 'to ' ~ user }}", "is missing"),
        ("{% for x in payload.x %}{% endfor %}", "`payload.x` is missing"),
        ("{{ events[1] }}", "`events[1]` is missing"),
    ] {
        let error = rendering_error(source);
        assert!(error.starts_with("the template failed: line "), "{error}");
        assert!(error.contains(problem), "{source}: {error}");
    }
}

#[test]
fn missing_values_can_be_checked_and_replaced() {
    let with = |source| render(source, &[sample(&json!({"a": null}))]);
    assert_eq!(with("{{ user|default('nobody') }}{% if user %}x{% endif %}{{ 'x' if user }}"), "nobody");
    assert_eq!(with("{{ user is defined }} {{ user|tojson }} {{ payload.a|tojson }}"), "false null null");
}

#[test]
fn link_is_missing_without_a_base() {
    let template = Template::new("{% if link %}x{% endif %}{{ link }}", JSON, None).unwrap();
    let sample = sample(&json!({}));
    assert!(template.render(&[sample.finding()]).unwrap_err().to_string().contains("`link` is missing"));
}

#[test]
fn numbers_and_literals_are_written_as_in_json() {
    let samples = [sample(&json!({"l": [0, -7, u64::MAX, 0.1, 1e300, true, false, null]}))];
    let text = render("{% for x in payload.l %}{{ x }} {% endfor %}", &samples);
    assert_eq!(text, format!("0 -7 {} 0.1 1{} true false null ", u64::MAX, "0".repeat(300) + ".0"));
}

#[test]
fn maps_have_a_fixed_order() {
    let samples = [sample(&json!({"c": 1, "a": 2, "b": 3}))];
    assert_eq!(
        render("{% for k in payload %}{{ k }}{% endfor %} {{ payload|tojson }}", &samples),
        "abc {\"a\":2,\"b\":3,\"c\":1}"
    );
    let event: Value = serde_json::from_str(&render("{{ event|tojson }}", &[Sample::typical()])).unwrap();
    assert_eq!(event["payload"]["country"], "NL");
    assert_eq!(event["link"], "https://decnet.example/deliveries?event_id=e-1");
}

#[test]
fn helpers_follow_their_description() {
    for (expression, expected) in [
        ("'203.0.113.9'|defang", "203[.]0[.]113[.]9"),
        ("'2001:db8::1'|defang", "2001[:]db8[:][:]1"),
        ("'see HTTPS://evil.example/a.b'|defang", "see hxxpS[://]evil[.]example/a[.]b"),
        ("'ftp://x http://y'|defang", "ftp[://]x hxxp[://]y"),
        ("'nl'|flag ~ flag('DE')", "🇳🇱🇩🇪"),
        ("'nld'|flag ~ '1x'|flag ~ ''|flag ~ 'é'|flag", ""),
        ("'häuser'|truncate(6)", "häuser"),
        ("'häuser'|truncate(5)", "häus…"),
        ("'häuser'|truncate(1)", "…"),
        ("'häuser'|truncate(0)", ""),
        ("12345|truncate(3)", "12…"),
        ("{'low': 1}[severity]", "1"),
    ] {
        assert_eq!(
            render(&format!("{{{{ {expression} }}}}"), &[sample(&json!({}))]),
            expected,
            "{expression}"
        );
    }
}
