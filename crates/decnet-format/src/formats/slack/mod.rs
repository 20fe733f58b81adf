//! Slack incoming webhooks: <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>.
//!
//! The title is the text of the message, which notifications show. Facts and footer are blocks of an attachment, because only an
//! attachment has a colour (<https://docs.slack.dev/messaging/formatting-message-text#attachments>). Facts are `plain_text`, in which
//! Slack formats nothing; `verbatim` turns automatic links off in the rest.

use decnet_core::delivery::Verdict;
use decnet_core::severity::Severity;

use super::chat::{self, Digest, Fact, Facts, JsonWriter};
use crate::escape;
use crate::finding::Finding;
use crate::reply::{Judgement, Reply};
use crate::request::RequestSpec;
use crate::spec::{Grouping, Options, RenderError, Rendering, Spec};

pub(crate) const SLACK: Spec = Spec {
    name: "slack",
    title: "Slack incoming webhook",
    content_type: "application/json",
    max_bytes: MAX_BYTES,
    grouping: Grouping::Digest,
    has_credentials: false,
    accepts_gzip: false,
    hosts: &["hooks.slack.com", "hooks.slack-gov.com"],
    request: RequestSpec::PLAIN,
    options: &[],
    escape: escape::slack,
    write,
    judge,
};

/// The maximum size of a body. Slack documents no limit for it; the limits below keep the text under 12,000 bytes.
const MAX_BYTES: usize = 32 * 1024;
/// The maximum length of the text. Slack splits a text of more than 4,000 characters
/// (<https://docs.slack.dev/reference/methods/chat.postMessage>).
const MAX_TEXT: usize = 3600;
const MAX_TITLE: usize = 700;
/// The maximum length of a fact. A field of a section has at most 2,000 characters and a section ten fields
/// (<https://docs.slack.dev/reference/block-kit/blocks/section-block>).
const MAX_FACT: usize = 500;
/// The maximum length of the lines of a digest together. Slack refuses messages whose blocks have more than about 13,200 characters.
const MAX_LINES: usize = 5400;
/// The maximum length of the text of a section: 3,000 characters less 10 %.
const MAX_SECTION: usize = 2700;
const MAX_LINE: usize = 400;
/// The errors that do not pass by themselves: the webhook, its channel or its workspace does not accept messages. The guide lists them
/// (<https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors>), except `user_not_found`, which is in
/// <https://api.slack.com/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks>.
const GONE: [&str; 11] = [
    "action_prohibited",
    "channel_is_archived",
    "channel_not_found",
    "invalid_token",
    "no_active_hooks",
    "no_service",
    "no_service_id",
    "no_team",
    "posting_to_general_channel_denied",
    "team_disabled",
    "user_not_found",
];

fn write(rendering: &Rendering<'_>, out: &mut Vec<u8>) -> Result<(), RenderError> {
    let template = rendering.format.render_template(rendering.findings).transpose()?;
    match (template, rendering.findings) {
        (Some(text), findings) => write_template(&text, findings, rendering, out),
        (None, [finding]) => write_event(finding, rendering, out),
        (None, _) => write_digest(rendering, out),
    }
    Ok(())
}

fn write_event(finding: &Finding<'_>, rendering: &Rendering<'_>, out: &mut Vec<u8>) {
    let facts = Facts::of(finding);
    let write_title = |text: &mut String| {
        text.extend(["*", chat::label(finding.severity), "* "]);
        escape::fit(&finding.title, MAX_TITLE, escape::slack, text);
    };
    write_message(out, finding.severity, write_title, |json| {
        let left_out = facts.left_out + write_facts(json, &facts.list);
        write_footer(json, finding, left_out, rendering);
    });
}

/// Writes the text of a template, which replaces title and facts.
fn write_template(text: &str, findings: &[Finding<'_>], rendering: &Rendering<'_>, out: &mut Vec<u8>) {
    let (text, left_out) = escape::fit_markup(text, MAX_TEXT);
    write_message(
        out,
        chat::worst(findings),
        |out| out.push_str(&text),
        |json| match findings {
            [finding] => write_footer(json, finding, left_out, rendering),
            _ => write_context(json, |text| {
                text.push_str(&chat::heading(findings));
                chat::cut_notice(left_out).iter().for_each(|notice| text.extend(["\n", notice]));
            }),
        },
    );
}

fn write_digest(rendering: &Rendering<'_>, out: &mut Vec<u8>) {
    let digest = Digest::of(rendering, MAX_LINES, |finding| line(finding, rendering));
    let write_heading = |text: &mut String| text.extend(["*", &digest.heading, "*"]);
    write_message(out, digest.severity, write_heading, |json| {
        write_facts(json, &digest.facts);
        for section in sections(&digest.lines) {
            json.element(|json| {
                json.text("type", "section");
                json.object("text", |json| write_markup(json, |text| text.push_str(&section)));
            });
        }
        if let Some(rest) = digest.rest() {
            write_context(json, |text| text.push_str(&rest));
        }
    });
}

/// Writes a message with a text and an attachment with blocks.
fn write_message(
    out: &mut Vec<u8>,
    severity: Severity,
    write_text: impl FnOnce(&mut String),
    write_blocks: impl FnOnce(&mut JsonWriter),
) {
    JsonWriter::message(out, |json| {
        json.composed("text", write_text);
        json.flag("unfurl_links", false);
        json.flag("unfurl_media", false);
        json.list("attachments", |json| {
            json.element(|json| {
                json.text("color", &chat::colour_code(severity));
                json.list("blocks", write_blocks);
            });
        });
    });
}

/// Writes facts as a section with fields. Returns the number of bytes that are left out.
fn write_facts(json: &mut JsonWriter, facts: &[Fact<'_>]) -> usize {
    if facts.is_empty() {
        return 0;
    }
    json.element(|json| {
        json.text("type", "section");
        json.list("fields", |json| facts.iter().map(|fact| write_fact(json, fact)).sum())
    })
}

fn write_fact(json: &mut JsonWriter, fact: &Fact<'_>) -> usize {
    json.element(|json| {
        json.text("type", "plain_text");
        json.flag("emoji", false);
        json.composed("text", |text| {
            text.extend([&*fact.name, ": "]);
            escape::fit(&fact.value, MAX_FACT, escape::slack_plain, text)
        })
    })
}

fn write_context(json: &mut JsonWriter, write_text: impl FnOnce(&mut String)) {
    json.element(|json| {
        json.text("type", "context");
        json.list("elements", |json| json.element(|json| write_markup(json, write_text)));
    });
}

/// Writes the members of a `mrkdwn` text object.
fn write_markup(json: &mut JsonWriter, write_text: impl FnOnce(&mut String)) {
    json.text("type", "mrkdwn");
    json.flag("verbatim", true);
    json.composed("text", write_text);
}

fn write_footer(json: &mut JsonWriter, finding: &Finding<'_>, left_out: usize, rendering: &Rendering<'_>) {
    write_context(json, |text| {
        chat::push_footer(finding, "`", escape::slack, text);
        if let Some(link) = chat::event_link(rendering, finding) {
            text.extend([chat::SEPARATOR, "<", &link, "|Open event>"]);
        }
        if left_out > 0 {
            text.push('\n');
            chat::push_notice(left_out, finding, "`", escape::slack, text);
        }
    });
}

fn line(finding: &Finding<'_>, rendering: &Rendering<'_>) -> String {
    let clock = chat::clock(finding);
    let mut line = match chat::event_link(rendering, finding) {
        Some(link) => format!("<{link}|{clock}>"),
        None => clock.to_owned(),
    };
    line.extend([" *", chat::label(finding.severity), "* "]);
    escape::fit(&finding.title, MAX_LINE, escape::slack, &mut line);
    line
}

/// Returns lines as texts of at most [`MAX_SECTION`] bytes.
fn sections(lines: &[String]) -> Vec<String> {
    let mut sections: Vec<String> = Vec::new();
    for line in lines {
        match sections.last_mut() {
            Some(section) if section.len() + line.len() < MAX_SECTION => section.extend(["\n", line]),
            _ => sections.push(line.clone()),
        }
    }
    sections
}

/// Judges a reply. Slack names its errors in the body, and accepted a message only if the body is `ok`
/// (<https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors>).
fn judge(_: &Options, reply: &Reply<'_>, _: usize) -> Judgement {
    let error = std::str::from_utf8(reply.body.trim_ascii()).unwrap_or_default();
    let judgement = match reply.status {
        200..=299 if chat::is_ok(reply) => return chat::accepted(reply),
        // Workspaces that exceed a limit get 429 or 5xx in any case.
        200..=499 if GONE.contains(&error) => Judgement::whole(Verdict::Gone),
        403 | 404 => Judgement::whole(Verdict::Gone),
        200..=299 => chat::not_ok(reply),
        _ => Judgement::by_status(reply),
    };
    chat::explained(judgement, error.as_bytes())
}

#[cfg(test)]
mod tests;
