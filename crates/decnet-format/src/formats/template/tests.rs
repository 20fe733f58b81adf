use std::time::Duration;

use decnet_core::severity::Severity;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::spec::Format;
use crate::testing::{Sample, hostile_sample, render, try_render};

fn create(options: &[(&str, &str)], template: Option<&str>) -> Result<Format, FormatError> {
    Format::new("template", options.iter().copied(), template, Some("https://decnet.example"))
}

fn error(options: &[(&str, &str)], template: Option<&str>) -> String {
    create(options, template).unwrap_err().to_string()
}

fn reply(status: u16) -> Reply<'static> {
    Reply { status, retry_after: Some(Duration::from_secs(7)), body: b"", is_complete: true }
}

#[test]
fn template_is_the_whole_body() {
    let source = r#"{"text": "{{ title }}", "level": "{{ severity }}", "user": {{ user|tojson }}}"#;
    let format = create(&[], Some(source)).unwrap();
    let body: Value = serde_json::from_str(&render(&format, &[Sample::typical()])).unwrap();
    assert_eq!((&body["level"], &body["user"]), (&json!("high"), &json!("root")));
    assert_eq!(format.content_type(), "application/json");
}

#[test]
fn markup_and_content_type_are_chosen_by_options() {
    let sample = || [Sample::new("e", "a.b", Severity::Low, &json!({"t": "<b>&\"\\"}))];
    for (escape, expected) in
        [("json", r#"<b>&\"\\"#), ("html", "&lt;b&gt;&amp;&quot;\\"), ("plain", "<b>&\"\\")]
    {
        let options = [("escape", escape), ("content_type", "text/plain; charset=utf-8")];
        let format = create(&options, Some("{{ payload.t }}")).unwrap();
        assert_eq!(render(&format, &sample()), expected, "{escape}");
        assert_eq!(format.content_type(), "text/plain; charset=utf-8");
    }
}

#[test]
fn template_is_required_here_and_refused_where_the_destination_defines_the_body() {
    assert_eq!(error(&[], None), "the format template needs a template; set one with --template");
    for name in ["splunk-hec", "elastic", "loki"] {
        let refused = Format::new(name, [], Some("x"), None).unwrap_err().to_string();
        assert_eq!(
            refused,
            format!(
                "the format {name} has no template: the destination defines the body; remove the template"
            )
        );
    }
}

#[test]
fn invalid_options_are_refused() {
    for (options, problem) in [
        (
            &[("escape", "xml")][..],
            "the option `escape` of the format template: use one of: json, html, plain",
        ),
        (&[("content_type", "json")], "write a media type"),
        (&[("content_type", "text/plain\r\nx: y")], "write a media type"),
        (&[("content_type", "text/ plain")], "write a media type"),
        (&[("content_type", "")], "write a media type"),
        (&[("success", "2xx")], "the option `success` of the format template: write status codes"),
        (
            &[("success", "200-410")],
            "the options `success` and `retry` both contain the status 408; remove it from one",
        ),
        (
            &[("retry", "500"), ("gone", "410,500")],
            "the options `retry` and `gone` both contain the status 500",
        ),
        (
            &[("succes", "200")],
            "the format template has no option `succes`; it has: content_type, escape, success",
        ),
    ] {
        assert!(error(options, Some("x")).contains(problem), "{options:?}: {}", error(options, Some("x")));
    }
    assert!(create(&[("hold", "none"), ("gone", "401,410")], Some("x")).is_ok());
}

#[test]
fn body_that_is_not_json_is_an_error() {
    for content_type in ["application/json", "application/vnd.x+JSON; charset=utf-8"] {
        let format = create(&[("content_type", content_type)], Some("{\"a\":\n {{ payload.t }}}")).unwrap();
        let broken = [Sample::new("e", "a", Severity::Low, &json!({"t": "x"}))];
        let error = try_render(&format, &broken).unwrap_err().to_string();
        assert!(error.starts_with("the rendered body is not JSON: expected value at line 2"), "{error}");
        assert!(try_render(&format, &[Sample::new("e", "a", Severity::Low, &json!({"t": 7}))]).is_ok());
    }
    let lines = create(&[("content_type", "application/x-ndjson")], Some("{}\n{}\n\n")).unwrap();
    assert_eq!(render(&lines, &[Sample::typical()]), "{}\n{}\n");
}

#[test]
fn replies_are_judged_by_the_lists() {
    let after = Some(Duration::from_secs(7));
    let retry = |reason| Verdict::Retry { reason, after };
    let format = create(&[], Some("x")).unwrap();
    for (statuses, expected) in [
        (&[200, 202, 204, 299][..], Verdict::Delivered),
        (&[408, 425], retry(Reason::RetryRequested)),
        (&[429], retry(Reason::Throttled)),
        (&[500, 503, 599], retry(Reason::ServerError)),
        (&[401, 403], Verdict::Hold),
        (&[410], Verdict::Gone),
        (&[400, 413, 422], Verdict::Reject(Reason::BodyRefused)),
        (&[301, 307], Verdict::Reject(Reason::Redirect)),
        (&[404, 409, 100, 600, 999], Verdict::Reject(Reason::Refused)),
    ] {
        for &status in statuses {
            assert_eq!(format.judge(&reply(status), 1), Judgement::whole(expected.clone()), "{status}");
        }
    }
}

#[test]
fn lists_replace_the_usual_meaning_of_a_status() {
    let options = [("success", "200,409"), ("retry", "404,429"), ("hold", "none"), ("gone", "400,401")];
    let format = create(&options, Some("x")).unwrap();
    let after = Some(Duration::from_secs(7));
    for (status, expected) in [
        (200, Verdict::Delivered),
        (409, Verdict::Delivered),
        (404, Verdict::Retry { reason: Reason::RetryRequested, after }),
        (400, Verdict::Gone),
        (401, Verdict::Gone),
        (201, Verdict::Reject(Reason::Refused)),
        (403, Verdict::Reject(Reason::Refused)),
        (410, Verdict::Reject(Reason::Refused)),
        (500, Verdict::Reject(Reason::Refused)),
    ] {
        assert_eq!(format.judge(&reply(status), 1).whole, expected, "{status}");
    }
}

proptest! {
    #[test]
    fn hostile_events_give_valid_json(samples in prop::collection::vec(hostile_sample(), 1..4)) {
        let source = r#"[{% for e in events %}{"t": "{{ e.title }}", "p": {{ e.payload|tojson }}, "u": "{{ e.user|default('') }}"}{% if not loop.last %},{% endif %}{% endfor %}]"#;
        let body: Vec<Value> = serde_json::from_str(&render(&create(&[], Some(source)).unwrap(), &samples)).unwrap();
        prop_assert_eq!(body.len(), samples.len());
        for (event, sample) in body.iter().zip(&samples) {
            prop_assert_eq!(&event["p"], sample.finding().payload);
            prop_assert_eq!(event["u"].as_str(), Some(sample.finding().user.unwrap_or_default()));
        }
    }

    #[test]
    fn any_reply_is_judged(status in 0u16..=1000, body in ".{0,40}") {
        let format = create(&[], Some("x")).unwrap();
        let reply = Reply { status, retry_after: None, body: body.as_bytes(), is_complete: false };
        prop_assert_eq!(format.judge(&reply, 3).whole == Verdict::Delivered, (200..300).contains(&status));
    }
}

/// The examples of the documentation: their markup, and their source.
fn examples() -> Vec<(&'static str, &'static str)> {
    let page = include_str!("../../../../../docs/destinations/template.md");
    let blocks = page.split("```jinja").skip(1);
    blocks
        .filter_map(|block| {
            block.split_once('\n').map(|(info, rest)| (info.trim(), rest.split("```").next().unwrap()))
        })
        .collect()
}

#[test]
fn examples_of_the_documentation_render() {
    assert_eq!(examples().len(), 10);
    for (info, source) in examples() {
        let plain = [("content_type", "text/plain; charset=utf-8"), ("escape", "plain")];
        let options = if info == "text" { &plain[..] } else { &[] };
        for samples in [1, 7].map(|count| (0..count).map(|_| Sample::typical()).collect::<Vec<_>>()) {
            let body = render(&create(options, Some(source)).unwrap(), &samples);
            assert!(
                body.contains("203.0.113.9")
                    || body.contains("203[.]0[.]113[.]9")
                    || body.contains("decky-03"),
                "{body}"
            );
        }
    }
}
