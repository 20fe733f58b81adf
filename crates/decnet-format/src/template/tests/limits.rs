//! Limits, and what is refused.

use decnet_core::event::Event;
use decnet_core::limits::MAX_PAYLOAD_DEPTH;
use decnet_core::text::is_hidden;
use proptest::prelude::*;

use super::*;
use crate::spec::Format;
use crate::testing::{AT, hostile_sample};

#[test]
fn invalid_templates_are_refused_with_line_and_reason() {
    for (source, problem) in [
        ("{{ title", "the template is not valid: line 1: "),
        ("\n{% if title %}", "the template is not valid: line 2: unexpected end of input"),
        ("\n{{ title + }}", "the template is not valid: line 2: "),
        ("{% endfor %}", "the template is not valid: line 1: "),
        ("{{ 'a }}", "the template is not valid: line 1: "),
        ("x\n{{ title|shout }}", "the template, line 2: `shout` is not a filter; use one of: abs, "),
        ("{{ title | safe }}", "`safe` is not a filter"),
        ("{{ title|e }}{{ title|escape }}", "`e` is not a filter"),
        ("{{ title is lower }}", "`lower` is not a test"),
        ("{{ title is odd_thing }}", "`odd_thing` is not a test"),
        ("{{ title is not odd_thing }}", "`odd_thing` is not a test"),
        ("x\n{{ sourceip }}", "the template, line 2: `sourceip` is not a variable; use one of: dns_name, "),
        ("{{ event.topics }}", "`event.topics` is not a variable"),
        ("{% if sourceip %}{% endif %}", "`sourceip` is not a variable"),
        ("{{ now() }}", "`now` is not a variable"),
        ("{{ debug() }}", "`debug` is not a variable"),
    ] {
        let error = creation_error(source);
        assert!(error.contains(problem), "{source}: {error}");
    }
}

#[test]
fn tags_beyond_conditions_and_loops_are_refused() {
    for tag in [
        "autoescape false",
        "-  autoescape false",
        "+autoescape 'none'",
        "include 'x'",
        "import 'x' as x",
        "from 'x' import y",
        "extends 'x'",
        "block x",
        "macro x()",
        "call x()",
        "filter upper",
        "endset",
        "do x",
    ] {
        let name = tag.trim_start_matches(['-', '+', ' ']).split(' ').next().unwrap();
        let error = creation_error(&format!("a\n{{%{tag} %}}"));
        assert!(
            error.contains(&format!("the template, line 2: `{name}` is not a tag; use one of: if, ")),
            "{tag}: {error}"
        );
    }
}

#[test]
fn words_in_texts_comments_and_plain_text_are_not_checked() {
    let source = "{# include x|safe #}| safe is odd {{ '| shout is odd' }}{ %{{ \"\\\"|x\" }}{% raw %}{{ x }}{% endraw %}";
    assert!(creation_error("{% raw %}{% include x %}{% endraw %}").contains("`include` is not a tag"));
    assert_eq!(render(source, &[sample(&json!({}))]), "| safe is odd | shout is odd{ %\\\"|x{{ x }}");
}

#[test]
fn every_listed_filter_and_test_exists() {
    let sample = sample(&json!({}));
    for filter in syntax::FILTERS {
        let error = Template::new(&format!("{{{{ title|{filter} }}}}"), JSON, LINKS)
            .unwrap()
            .render(&[sample.finding()]);
        assert!(!error.err().is_some_and(|error| error.to_string().contains("unknown filter")), "{filter}");
    }
    for test in syntax::TESTS {
        let error = Template::new(&format!("{{{{ 1 is {test} }}}}"), JSON, LINKS)
            .unwrap()
            .render(&[sample.finding()]);
        assert!(!error.err().is_some_and(|error| error.to_string().contains("unknown test")), "{test}");
    }
}

#[test]
fn source_has_a_maximum_size() {
    let longest = "x".repeat(MAX_TEMPLATE_BYTES);
    assert_eq!(render(&longest, &[sample(&json!({}))]), longest);
    assert_eq!(creation_error(&format!("{longest}x")), "the template has 16385 bytes; the maximum is 16384");
}

#[test]
fn rendering_has_a_maximum_number_of_steps() {
    let problem = "it needs more than 50000 steps; shorten its loops or its output";
    for source in [
        "{% for a in range(40000) %}{% set x = range(99)|list|tojson %}{% endfor %}",
        "{% for a in range(1000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}",
        "{% for a in range(100000) %}{% endfor %}",
        "{{ 'x' * 100000000 }}",
        "{{ range(100000)|list|sort|length }}",
        "{% set ns = namespace(t='x') %}{% for a in range(60) %}{% set ns.t = ns.t ~ ns.t %}{% endfor %}{{ ns.t|length }}",
    ] {
        let error = rendering_error(source);
        assert!(error.contains(problem) || error.contains("too large"), "{source}: {error}");
    }
    assert!(
        rendering_error("\n{% for a in range(99999) %}{% endfor %}").contains(&format!("line 2: {problem}"))
    );
}

#[test]
fn rendering_has_a_maximum_depth() {
    let nested = |depth: usize| {
        format!(
            "{}x{}",
            "{% if true %}{% for a in [1] %}".repeat(depth),
            "{% endfor %}{% endif %}".repeat(depth)
        )
    };
    assert_eq!(render(&nested(20), &[sample(&json!({}))]), "x");
    assert!(creation_error(&nested(200)).contains("recursion"));
    let endless = "{% for x in [[1]] recursive %}{{ loop([x]) }}{% endfor %}";
    assert!(rendering_error(endless).contains("recursion limit"), "{}", rendering_error(endless));
}

#[test]
fn output_has_a_maximum_size_while_it_is_written() {
    let problem = "its output has more than 262144 bytes; shorten it";
    let big = "é".repeat(90 * 1024);
    let samples = [sample(&json!({"big": big, "huge": "x".repeat(900_000)}))];
    assert_eq!(render("{{ payload.big }}", &samples), big);
    for source in [
        "{{ payload.big }}{{ payload.big }}",
        "{{ payload.huge }}",
        "{{ payload.huge|tojson }}",
        "{{ payload }}{{ payload }}",
        "{{ payload|tojson }}",
        "{% for a in range(500) %}{{ payload.huge }}{% endfor %}",
    ] {
        let error = render_with(source, JSON, &samples).unwrap_err().to_string();
        assert!(error.contains(problem), "{source}: {error}");
    }
    let quotes = [sample(&json!({"q": "\"".repeat(MAX_OUTPUT_BYTES / 2 + 1)}))];
    assert!(render_with("{{ payload.q }}", JSON, &quotes).unwrap_err().to_string().contains(problem));
}

#[test]
fn error_texts_are_short_and_have_no_hidden_characters() {
    let samples = [sample(&json!({"t": format!("\u{1b}[2J{}", "x".repeat(5000))}))];
    let error = render_with("{{ payload.t|int }}", JSON, &samples).unwrap_err().to_string();
    assert!(error.chars().count() < MAX_ERROR_CHARS + 40 && !error.contains('\u{1b}'), "{error}");
}

#[test]
fn errors_of_creation_are_short_and_printable() {
    let long = "x".repeat(10_000);
    for word in ["\u{1}", "\u{202e}", &long] {
        for source in
            [format!("{{{{ title|{word} }}}}"), format!("{{{{ {word} }}}}"), format!("{{% {word} %}}")]
        {
            let error = creation_error(&source);
            assert!(!error.is_empty() && error.len() < 1000 && !error.contains(is_hidden), "{error:?}");
        }
        let unknown = Format::new(word, [], None, None).err().map(|error| error.to_string()).unwrap();
        let option =
            Format::new("slack", [(word, "")], None, None).err().map(|error| error.to_string()).unwrap();
        for error in [unknown, option] {
            assert!(error.len() < 400 && !error.contains(is_hidden), "{error:?}");
        }
    }
}

#[test]
fn blocks_of_other_templates_do_not_exist() {
    for source in ["{{ self.x() }}", "{{ super() }}", "{{ loop }}"] {
        let error = Template::new(source, JSON, None)
            .map(|template| template.render(&[sample(&json!({})).finding()]));
        assert!(!matches!(error, Ok(Ok(_))), "{source}");
    }
}

#[test]
fn deepest_payload_is_rendered() {
    let (open, close) = ("[".repeat(MAX_PAYLOAD_DEPTH), "]".repeat(MAX_PAYLOAD_DEPTH));
    let event = Event::new("e", "a", "t", AT, &format!("{open}{close}")).unwrap();
    let sample = Sample::of(event, Severity::Low);
    assert_eq!(render("{{ payload|tojson }}", &[sample]), format!("{open}{close}"));
}

/// Parts of templates, valid and not.
const FRAGMENTS: &[&str] = &[
    "{{ title }}",
    "{{ payload.x }}",
    "{{ payload|tojson }}",
    "{{ event }}",
    "{% for e in events %}",
    "{% endfor %}",
    "{% for a in range(3000) %}",
    "{% if user %}",
    "{% else %}",
    "{% endif %}",
    "{{ payload|string * 50 }}",
    "{{ link }}",
    "{% set a = payload.x ~ title %}",
    "{{ payload.x|truncate(9)|defang }}",
    "{{",
    "}}",
    "{%",
    "\"",
    "\\",
    "{{ payload.x|replace('a', title) }}",
    "{% raw %}",
    "{% endraw %}",
    "{{ loop(events) }}",
    "{{ payload|items|list }}",
];

fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![8 => prop::sample::select(FRAGMENTS).prop_map(str::to_owned), 1 => ".{0,8}"]
}

proptest! {
    #[test]
    fn any_template_ends_within_its_limits(parts in prop::collection::vec(fragment(), 0..12), sample in hostile_sample()) {
        if let Ok(template) = Template::new(&parts.concat(), JSON, LINKS) {
            let first = template.render(&[sample.finding()]);
            prop_assert_eq!(&first, &template.render(&[sample.finding()]));
            match first {
                Ok(text) => prop_assert!(text.len() <= MAX_OUTPUT_BYTES),
                Err(error) => prop_assert!(error.to_string().starts_with("the template failed: ")),
            }
        }
    }
}
