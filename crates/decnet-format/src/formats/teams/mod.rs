//! Microsoft Teams, through a webhook of the Workflows app:
//! <https://support.microsoft.com/office/create-incoming-webhooks-with-workflows-for-microsoft-teams-8ae491c7-0394-4861-ba59-055e33f75498>.
//!
//! A message is an Adaptive Card 1.4. Text of events is in `TextRun` elements, in which Teams interprets no Markdown
//! (<https://learn.microsoft.com/adaptive-cards/schema-explorer/text-run>). A mention needs an entity besides the text
//! (<https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-format>); there is none.

use decnet_core::delivery::Verdict;
use decnet_core::severity::Severity;
use serde::Deserialize;

use super::chat::{self, Digest, Fact, Facts, JsonWriter};
use crate::escape;
use crate::finding::Finding;
use crate::reply::{Judgement, Reply};
use crate::request::RequestSpec;
use crate::spec::{Grouping, OptionSpec, Options, RenderError, Rendering, Spec};

pub(crate) const TEAMS: Spec = Spec {
    name: "teams",
    title: "Microsoft Teams webhook of the Workflows app",
    content_type: "application/json; charset=utf-8",
    max_bytes: MAX_BYTES,
    grouping: Grouping::Digest,
    has_credentials: false,
    accepts_gzip: false,
    hosts: &[".logic.azure.com", ".powerplatform.com"],
    request: RequestSpec::PLAIN,
    options: &[OptionSpec {
        name: CARD,
        help: "`message` for flows that read attachments, `bare` for flows that expect the card itself",
        default: Some("message"),
        check: |value| match value {
            "message" | BARE => Ok(()),
            _ => Err(format!("use `message` or `{BARE}`")),
        },
    }],
    escape: escape::teams,
    write,
    judge,
};

const CARD: &str = "card";
const BARE: &str = "bare";
/// The maximum size of a body: about 28 KB (<https://learn.microsoft.com/connectors/teams/#known-issues-and-limitations-with-actions>)
/// less 10 %.
const MAX_BYTES: usize = 25_000;
const MAX_TITLE: usize = 700;
/// The maximum length of the value of a fact, of which there are at most 10.
const MAX_VALUE: usize = 500;
/// The maximum length of the text of a template. JSON can double it.
const MAX_TEXT: usize = 10_000;
/// The maximum length of the lines of a digest together. The elements around a line need up to 350 bytes.
const MAX_LINES: usize = 4000;
const MAX_LINE: usize = 400;
/// The maximum number of lines of a digest.
const MAX_LISTED: usize = 30;
const SCHEMA: &str = "http://adaptivecards.io/schemas/adaptive-card.json";
/// Members of a text run that give it a style.
type Style = &'static [(&'static str, &'static str)];
const BOLD: Style = &[("weight", "Bolder")];
const SUBTLE: Style = &[("size", "Small")];
/// The errors of a flow that was deleted or turned off, or whose URL is incomplete.
const GONE: [&str; 5] = [
    "DirectApiAuthorizationRequired",
    "MissingApiVersionParameter",
    "WorkflowNotFound",
    "WorkflowTriggerIsNotEnabled",
    "WorkflowTriggerNotFound",
];

fn write(rendering: &Rendering<'_>, out: &mut Vec<u8>) -> Result<(), RenderError> {
    let template = rendering.format.render_template(rendering.findings).transpose()?;
    match rendering.findings {
        [finding] => write_event(template.as_deref(), finding, rendering, out),
        _ => write_digest(template.as_deref(), rendering, out),
    }
    Ok(())
}

/// Writes the message about an event. The text of a template replaces the facts.
fn write_event(template: Option<&str>, finding: &Finding<'_>, rendering: &Rendering<'_>, out: &mut Vec<u8>) {
    let facts = if template.is_some() { Facts::default() } else { Facts::of(finding) };
    write_card(rendering, out, |json| {
        json.list("body", |json| {
            write_heading(json, finding.severity, |title| {
                title.extend([chat::label(finding.severity), ": "]);
                escape::fit(&finding.title, MAX_TITLE, escape::teams_plain, title);
            });
            let cut = template.map_or(0, |text| write_template(json, text));
            let left_out = facts.left_out + cut + write_facts(json, &facts.list);
            write_footer(json, finding, left_out);
        });
        if let Some(link) = chat::event_link(rendering, finding) {
            json.list("actions", |json| json.element(|json| write_link(json, &link)));
        }
    });
}

fn write_digest(template: Option<&str>, rendering: &Rendering<'_>, out: &mut Vec<u8>) {
    let rendering = Rendering { max_listed: rendering.max_listed.min(MAX_LISTED), ..*rendering };
    let title = |finding: &Finding<'_>| chat::fitted(&finding.title, MAX_LINE, escape::teams_plain);
    let digest = Digest::of(&rendering, MAX_LINES, title);
    write_card(&rendering, out, |json| {
        json.list("body", |json| {
            write_heading(json, digest.severity, |heading| heading.push_str(&digest.heading));
            match template {
                Some(text) => {
                    let left_out = write_template(json, text);
                    if let Some(notice) = chat::cut_notice(left_out) {
                        write_block(json, "None", |json| {
                            write_run(json, SUBTLE, |text| text.push_str(&notice));
                        });
                    }
                }
                None => {
                    write_facts(json, &digest.facts);
                    for (finding, title) in rendering.findings.iter().zip(&digest.lines) {
                        write_line(json, finding, title, &rendering);
                    }
                    if let Some(rest) = digest.rest() {
                        write_block(json, "Small", |json| {
                            write_run(json, SUBTLE, |text| text.push_str(&rest));
                        });
                    }
                }
            }
        });
    });
}

/// Writes a card with the members that `write` adds: in an attachment of a message, or bare.
fn write_card(rendering: &Rendering<'_>, out: &mut Vec<u8>, write: impl FnOnce(&mut JsonWriter)) {
    let is_bare = rendering.format.options().get(CARD) == Some(BARE);
    let write_card = |json: &mut JsonWriter| {
        json.text("$schema", SCHEMA);
        json.text("type", "AdaptiveCard");
        json.text("version", "1.4");
        json.object("msteams", |json| json.text("width", "Full"));
        write(json);
    };
    JsonWriter::message(out, |json| {
        if is_bare {
            return write_card(json);
        }
        json.text("type", "message");
        json.list("attachments", |json| {
            json.element(|json| {
                json.text("contentType", "application/vnd.microsoft.card.adaptive");
                json.object("content", write_card);
            });
        });
    });
}

/// Writes a bold line on the colour of a severity.
fn write_heading(json: &mut JsonWriter, severity: Severity, write_text: impl FnOnce(&mut String)) {
    let style = match severity {
        Severity::Info => "default",
        Severity::Low => "accent",
        Severity::Medium => "warning",
        Severity::High | Severity::Critical => "attention",
    };
    json.element(|json| {
        json.text("type", "Container");
        json.text("style", style);
        json.flag("bleed", true);
        json.list("items", |json| write_block(json, "None", |json| write_run(json, BOLD, write_text)));
    });
}

/// Writes the text of a template. Returns the number of bytes that are left out.
fn write_template(json: &mut JsonWriter, text: &str) -> usize {
    let (text, left_out) = escape::fit_markup(text, MAX_TEXT);
    json.element(|json| {
        json.text("type", "TextBlock");
        json.text("text", &text);
        json.flag("wrap", true);
    });
    left_out
}

/// Writes facts, one on a line. Returns the number of bytes that are left out.
fn write_facts(json: &mut JsonWriter, facts: &[Fact<'_>]) -> usize {
    let mut write_fact = |fact: &Fact<'_>| {
        write_block(json, "Small", |json| {
            write_run(json, BOLD, |name| name.extend([&*fact.name, ": "]));
            write_run(json, &[], |value| escape::fit(&fact.value, MAX_VALUE, escape::teams_plain, value))
        })
    };
    facts.iter().map(&mut write_fact).sum()
}

fn write_footer(json: &mut JsonWriter, finding: &Finding<'_>, left_out: usize) {
    write_block(json, "Medium", |json| {
        write_run(json, SUBTLE, |text| chat::push_footer(finding, "", escape::teams_plain, text));
    });
    if left_out > 0 {
        write_block(json, "None", |json| {
            write_run(json, SUBTLE, |text| {
                chat::push_notice(left_out, finding, "", escape::teams_plain, text);
            });
        });
    }
}

/// Writes the line of an event in a digest. Its time of day is a link.
fn write_line(json: &mut JsonWriter, finding: &Finding<'_>, title: &str, rendering: &Rendering<'_>) {
    write_block(json, "Small", |json| {
        json.element(|json| {
            json.text("type", "TextRun");
            json.text("text", chat::clock(finding));
            if let Some(link) = chat::event_link(rendering, finding) {
                json.object("selectAction", |json| write_link(json, &link));
            }
        });
        write_run(json, BOLD, |text| text.extend([" ", chat::label(finding.severity), " "]));
        write_run(json, &[], |text| text.push_str(title));
    });
}

/// Writes a block of the text runs that `write` writes.
fn write_block<T>(json: &mut JsonWriter, spacing: &str, write: impl FnOnce(&mut JsonWriter) -> T) -> T {
    json.element(|json| {
        json.text("type", "RichTextBlock");
        json.text("spacing", spacing);
        json.list("inlines", write)
    })
}

fn write_run<T>(json: &mut JsonWriter, style: Style, write_text: impl FnOnce(&mut String) -> T) -> T {
    json.element(|json| {
        json.text("type", "TextRun");
        for (name, value) in style {
            json.text(name, value);
        }
        json.composed("text", write_text)
    })
}

/// Writes the members of an action that opens the page of an event.
fn write_link(json: &mut JsonWriter, link: &str) {
    json.text("type", "Action.OpenUrl");
    json.text("title", "Open event");
    json.text("url", link);
}

/// The body of an error of a flow: `{"error":{"code":"…","message":"…"}}`.
#[derive(Deserialize)]
struct Problem {
    error: ProblemDetail,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ProblemDetail {
    code: String,
    message: String,
}

/// Judges a reply. 202 means that the flow was started: whether it posts the message is not visible here. The flow was deleted or turned
/// off, or the URL is wrong, after 401, 403, 404 and some 400.
fn judge(_: &Options, reply: &Reply<'_>, _: usize) -> Judgement {
    if matches!(reply.status, 200..=299) {
        return chat::accepted(reply);
    }
    let problem = serde_json::from_slice::<Problem>(reply.body).ok().map(|problem| problem.error);
    let code = problem.as_ref().map_or("", |problem| &problem.code);
    let judgement = match reply.status {
        401 | 403 | 404 => Judgement::whole(Verdict::Gone),
        400..=499 if GONE.contains(&code) => Judgement::whole(Verdict::Gone),
        _ => Judgement::by_status(reply),
    };
    match problem {
        Some(ProblemDetail { code, message }) => {
            chat::explained(judgement, format!("{code}: {message}").trim_matches([':', ' ']).as_bytes())
        }
        None => chat::explained(judgement, reply.body),
    }
}

#[cfg(test)]
mod tests;
