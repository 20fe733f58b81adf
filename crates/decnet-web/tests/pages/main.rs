//! Every page, filled with text that an attacker would write: it stays text.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails that test")]

mod forms;
mod values;

use decnet_core::time::UnixMicros;
use decnet_web::Count;
use decnet_web::delivery::{self, Deliveries};
use decnet_web::explanation::Question;
use decnet_web::filter::DeliveryFilter;
use decnet_web::names::Names;
use decnet_web::page::{DeliveriesPage, DeliveryPage, ExplainPage, FailuresPage, Page, SubscriptionsPage};
use decnet_web::topics::{EventsPage, Topics};
use serde_json::{Value, json};

use self::values::{NONCE, delivery, frame, pages, read_only, text, time};

#[test]
fn hostile_text_stays_text_on_every_page() {
    for (name, html) in pages(frame) {
        let (images, scripts) = (html.matches("<img").count(), html.matches("<script").count());
        assert_eq!((images, scripts), (1, 3), "{name}: the logo and the page's own scripts: {html}");
        assert_eq!(html.matches("</script>").count(), 3, "{name}");
        assert!(!html.contains("x\"'>") && !html.contains("<img src=x"), "{name}: {html}");
        assert!(html.contains("onerror") || name == "secret", "{name} shows the text");
        assert!(
            !html.contains(" style=") && !html.contains("hx-on") && !html.contains("javascript:"),
            "{name}"
        );
    }
}

#[test]
fn text_of_others_cannot_reorder_a_page() {
    // The other pages repeat the visitor's own input.
    let shown = [
        "overview",
        "subscription",
        "delete",
        "delivery",
        "events",
        "failures",
        "job",
        "preview",
        "secret",
        "access",
        "token",
        "revoke",
        "audit",
        "created",
        "test",
    ];
    for (name, html) in pages(frame).into_iter().filter(|(name, _)| shown.contains(name)) {
        let text_of =
            |part: &str| part.split_once('>').map_or_else(|| part.to_owned(), |(_, text)| text.to_owned());
        // Attributes carry the exact text and are not displayed.
        let displayed: String = html.split('<').map(text_of).collect();
        assert!(displayed.contains("\\u{202e}") && !displayed.contains('\u{202e}'), "{name}: {displayed}");
    }
}

#[test]
fn every_script_and_live_element_has_the_nonce() {
    for (name, html) in pages(frame).into_iter().filter(|(name, _)| !name.starts_with("login")) {
        let nonces = html.matches(&format!("nonce=\"{NONCE}\"")).count();
        let live = html.matches("hx-get=\"").count() + html.matches("hx-post=\"").count();
        assert_eq!(nonces, 3 + live, "{name}");
    }
}

#[test]
fn only_sessions_that_may_change_see_buttons() {
    let forms = |html: &str| html.matches("method=\"post\"").count();
    for (name, html) in pages(read_only) {
        assert!(
            forms(&html) == 1 || matches!(name, "preview" | "delete" | "edit" | "new" | "created"),
            "{name}: only the logout"
        );
    }
    for (name, html) in pages(frame) {
        let tokens = html.matches("name=\"csrf\" value=\"form-token\"").count();
        assert_eq!(
            tokens,
            forms(&html) - usize::from(name.starts_with("login")),
            "{name}: each form has the token"
        );
    }
}

/// Returns the page of a delivery with this event.
fn page_of_event(body: &str) -> String {
    let json = delivery().to_string().replacen(&delivery()["body"].to_string(), body, 1);
    let details = delivery::Details::parse(json.as_bytes()).unwrap();
    DeliveryPage { frame: frame(), details, now: UnixMicros(0) }.html().unwrap()
}

#[test]
fn numbers_of_an_event_stay_exact() {
    let html = page_of_event(r#"{"n":12345678901234567890,"x":1.0e400,"y":-0.10}"#);
    for number in ["12345678901234567890", "1.0e400", "-0.10"] {
        assert_eq!(html.matches(number).count(), 2, "{number} in the event and in the command");
    }
}

#[test]
fn command_for_curl_has_no_hidden_characters() {
    let html = page_of_event("{\"a\":\"it's\u{7f}\u{9b}\u{202e}\"}");
    let command = html.split("--data-raw ").nth(1).unwrap().split("</pre>").next().unwrap();
    assert!(command.contains(r"it&#39;\&#39;&#39;s\u007f\u009b\u202e"), "{command}");
    assert!(!command.contains(|c: char| c.is_control() && c != '\n'), "{command:?}");
}

#[test]
fn next_attempt_is_shown_with_the_time_until_it() {
    let mut waiting = delivery();
    waiting["state"] = json!("retrying");
    waiting["due_at"] = json!("2026-04-24T00:04:10+00:00");
    waiting["deferred_until"] = json!("2026-04-24T00:00:10+00:00");
    let page = |waiting: &Value| {
        let details = delivery::Details::parse(waiting.to_string().as_bytes()).unwrap();
        DeliveryPage { frame: frame(), details, now: UnixMicros(1_776_988_800_000_000) }.html().unwrap()
    };
    assert!(page(&waiting).contains("in 4 min"));
    waiting["state"] = json!("parked");
    assert!(!page(&waiting).contains("Next attempt"), "it waits for its subscription");
}

#[test]
fn sorted_column_is_announced() {
    let (_, html) = pages(frame).into_iter().find(|(name, _)| *name == "subscriptions").unwrap();
    assert_eq!(html.matches("aria-sort=\"ascending\"").count(), 1);
}

#[test]
fn suggested_names_are_only_values() {
    let html = Names { names: vec![text()] }.html().unwrap();
    assert!(html.starts_with("<option value=\"x&#34;&#39;&#62;") && !html.contains("<img"), "{html}");
}

#[test]
fn empty_pages_show_what_to_do_next() {
    let list = DeliveriesPage {
        frame: frame(),
        filter: DeliveryFilter::default(),
        receiver: None,
        names: Vec::new(),
        page: Deliveries::default(),
        error: None,
        next: None,
    };
    let subscriptions = SubscriptionsPage {
        frame: frame(),
        receivers: Vec::new(),
        search: String::new(),
        state: String::new(),
        columns: Vec::new(),
        orders: Vec::new(),
        matching: Count(0),
        total: Count(0),
        next: None,
    };
    let failures = FailuresPage {
        frame: frame(),
        groups: Vec::new(),
        open: Count(0),
        jobs: Vec::new(),
        taken_at: time(),
    };
    let events = EventsPage { frame: frame(), topics: Topics::default() };
    let question = Question::default();
    let explain = ExplainPage { frame: frame(), question, names: Vec::new(), answer: None, error: None };
    let pages: [(&str, &dyn Page); 5] = [
        ("decnet publish ", &list),
        ("decnet subscription create ", &subscriptions),
        ("decnet delivery list --state dead", &failures),
        ("decnet publish ", &events),
        ("decnet explain ", &explain),
    ];
    for (command, page) in pages {
        let html = page.html().unwrap();
        assert!(html.contains("<h2>") && html.contains(&format!("<pre>{command}")), "{command}: {html}");
        assert!(html.contains("class=\"copy\""), "{command} can be copied");
    }
}

#[test]
fn every_control_has_a_label_and_describes_its_error() {
    for (name, html) in pages(frame).into_iter().filter(|(name, _)| matches!(*name, "edit" | "new" | "test"))
    {
        for id in html.split(" id=\"field-").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            let is_labelled = html.contains(&format!("for=\"field-{id}\""))
                || html
                    .contains(&format!("<label class=\"check\"><input type=\"checkbox\" id=\"field-{id}\""));
            assert!(is_labelled, "{name}: {id}");
        }
        for described in html.split("aria-describedby=\"").skip(1) {
            for id in described.split('"').next().unwrap().split(' ') {
                assert!(html.contains(&format!("id=\"{id}\"")), "{name}: {id}");
            }
        }
    }
    let (_, html) = pages(frame).into_iter().find(|(name, _)| *name == "edit").unwrap();
    assert!(
        html.contains("aria-describedby=\"hint-rate error-rate\" aria-invalid=\"true\" autofocus"),
        "{html}"
    );
}
