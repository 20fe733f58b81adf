//! Mattermost incoming webhooks: <https://developers.mattermost.com/integrate/webhooks/incoming/>.
//!
//! A message is one attachment (<https://developers.mattermost.com/integrate/reference/message-attachments/>). Its text and the values of its
//! fields are Markdown.

use std::borrow::Cow;

use decnet_core::delivery::Verdict;
use decnet_core::severity::Severity;
use serde::Deserialize;

use super::chat::{self, Digest, Fact, Facts, JsonWriter};
use crate::escape;
use crate::finding::Finding;
use crate::reply::{Judgement, Reply};
use crate::request::RequestSpec;
use crate::spec::{Grouping, Options, RenderError, Rendering, Spec};

pub(crate) const MATTERMOST: Spec = Spec {
    name: "mattermost",
    title: "Mattermost incoming webhook",
    content_type: "application/json",
    max_bytes: MAX_BYTES,
    grouping: Grouping::Digest,
    has_credentials: false,
    accepts_gzip: false,
    hosts: &[],
    request: RequestSpec::PLAIN,
    options: &[],
    escape: escape::mattermost,
    write,
    judge,
};

/// The maximum size of a body. A post has at most 16,383 characters
/// (<https://developers.mattermost.com/integrate/webhooks/incoming/#tips-and-best-practices>); the limits below keep the text under 14,700
/// bytes.
const MAX_BYTES: usize = 40 * 1024;
const MAX_TITLE: usize = 700;
/// The maximum length of the text of a template or of the lines of a digest.
const MAX_TEXT: usize = 8000;
/// The maximum length of the value of a field, of which there are at most 10.
const MAX_VALUE: usize = 500;
/// The maximum length of the footer: 300 characters less 10 %.
const MAX_FOOTER: usize = 270;
/// The maximum length of a value beside another on a line.
const MAX_SHORT: usize = 40;
const MAX_LINE: usize = 400;
/// The errors of a webhook that was deleted, or whose channel or creator does not accept its messages
/// (<https://github.com/mattermost/mattermost/blob/master/server/channels/app/webhook.go>).
const GONE: [&str; 6] = [
    "app.channel.get.existing.app_error",
    "web.incoming_webhook.channel.app_error",
    "web.incoming_webhook.channel_locked.app_error",
    "web.incoming_webhook.invalid.app_error",
    "web.incoming_webhook.permissions.app_error",
    "web.incoming_webhook.user.app_error",
];

fn write(rendering: &Rendering<'_>, out: &mut Vec<u8>) -> Result<(), RenderError> {
    let template = rendering.format.render_template(rendering.findings).transpose()?;
    match rendering.findings {
        [finding] => write_event(template.as_deref(), finding, rendering, out),
        _ => write_digest(template.as_deref(), rendering, out),
    }
    Ok(())
}

/// Writes the message about an event. The text of a template replaces title and facts.
fn write_event(template: Option<&str>, finding: &Finding<'_>, rendering: &Rendering<'_>, out: &mut Vec<u8>) {
    let facts = if template.is_some() { Facts::default() } else { Facts::of(finding) };
    let text = template.map(|text| escape::fit_markup(text, MAX_TEXT));
    let link = chat::event_link(rendering, finding);
    write_message(out, finding.severity, |json| {
        json.composed("fallback", |fallback| {
            fallback.extend([chat::label(finding.severity), ": "]);
            escape::fit(&finding.title, MAX_TITLE, escape::plain, fallback)
        });
        json.composed("text", |out| push_text(text, link.as_deref(), finding, out));
        json.list("fields", |json| write_fields(json, &facts, finding));
        let mut footer = String::with_capacity(100);
        chat::push_footer(finding, "", escape::plain, &mut footer);
        json.text("footer", &chat::shortened(footer, MAX_FOOTER));
    });
}

/// Appends the text of a template, or else the title; then the link to the event, and the notice that the template's text is cut.
fn push_text(
    template: Option<(Cow<'_, str>, usize)>,
    link: Option<&str>,
    finding: &Finding<'_>,
    out: &mut String,
) {
    let cut = match template {
        Some((text, cut)) => {
            out.push_str(&text);
            cut
        }
        None => {
            out.extend(["**", chat::label(finding.severity), "** "]);
            escape::fit(&finding.title, MAX_TITLE, escape::mattermost, out);
            0
        }
    };
    if let Some(link) = link {
        out.extend(["\n[Open event](", link, ")"]);
    }
    if cut > 0 {
        out.push('\n');
        chat::push_notice(cut, finding, "`", escape::mattermost, out);
    }
}

/// Writes the facts of an event, and the notice that something is left out as the last field.
fn write_fields(json: &mut JsonWriter, facts: &Facts<'_>, finding: &Finding<'_>) {
    let left_out = facts.left_out + write_facts(json, &facts.list);
    if left_out > 0 {
        json.element(|json| {
            json.text("title", chat::LEFT_OUT);
            json.flag("short", false);
            json.composed("value", |value| {
                chat::push_notice(left_out, finding, "`", escape::mattermost, value);
            });
        });
    }
}

fn write_digest(template: Option<&str>, rendering: &Rendering<'_>, out: &mut Vec<u8>) {
    let digest = Digest::of(rendering, MAX_TEXT, |finding| {
        chat::markdown_line(finding, rendering, MAX_LINE, escape::mattermost)
    });
    write_message(out, digest.severity, |json| {
        json.text("fallback", &digest.heading);
        match template {
            Some(text) => json.composed("text", |out| chat::push_template(text, MAX_TEXT, out)),
            None => {
                json.composed("text", |text| push_list(&digest, text));
                json.list("fields", |json| write_facts(json, &digest.facts));
            }
        }
        json.text("footer", &digest.heading);
    });
}

/// Writes a message with one attachment.
fn write_message(out: &mut Vec<u8>, severity: Severity, write_attachment: impl FnOnce(&mut JsonWriter)) {
    JsonWriter::message(out, |json| {
        json.list("attachments", |json| {
            json.element(|json| {
                json.text("color", &chat::colour_code(severity));
                write_attachment(json);
            });
        });
    });
}

/// Appends the heading of a digest and its lines.
fn push_list(digest: &Digest<'_>, text: &mut String) {
    text.extend(["**", &digest.heading, "**"]);
    for line in digest.lines.iter().map(String::as_str).chain(digest.rest().as_deref()) {
        text.extend(["\n", line]);
    }
}

/// Writes facts as elements of a list of fields. Returns the number of bytes that are left out.
fn write_facts(json: &mut JsonWriter, facts: &[Fact<'_>]) -> usize {
    let write_fact = |json: &mut JsonWriter, fact: &Fact<'_>| {
        json.text("title", &fact.name);
        json.flag("short", fact.value.len() <= MAX_SHORT);
        json.composed("value", |value| escape::fit(&fact.value, MAX_VALUE, escape::mattermost, value))
    };
    facts.iter().map(|fact| json.element(|json| write_fact(json, fact))).sum()
}

/// The body of an error (<https://developers.mattermost.com/api-documentation/#/#error-handling>).
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    id: String,
    message: String,
}

/// Judges a reply. A message was accepted only if the body is `ok`. An unknown key is a 400 and not a 404. 501, incoming webhooks are
/// turned off, is retried: administrators turn them on again for all.
fn judge(_: &Options, reply: &Reply<'_>, _: usize) -> Judgement {
    let problem = serde_json::from_slice::<Problem>(reply.body).unwrap_or_default();
    let judgement = match reply.status {
        200..=299 if chat::is_ok(reply) => return chat::accepted(reply),
        200..=299 => chat::not_ok(reply),
        400..=499 if GONE.contains(&&*problem.id) => Judgement::whole(Verdict::Gone),
        403 | 404 => Judgement::whole(Verdict::Gone),
        _ => Judgement::by_status(reply),
    };
    let message = if problem.message.is_empty() { reply.body } else { problem.message.as_bytes() };
    chat::explained(judgement, message)
}

#[cfg(test)]
mod tests;
