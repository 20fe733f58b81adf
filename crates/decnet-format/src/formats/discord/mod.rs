//! Discord webhooks: <https://docs.discord.com/developers/resources/webhook#execute-webhook>.
//!
//! A message is one embed. `allowed_mentions` is empty, so that a message notifies nobody, regardless of its text.

use std::time::Duration;

use decnet_core::delivery::{Reason, Verdict};
use decnet_core::limits::MAX_RETRY_AFTER;
use decnet_core::severity::Severity;
use serde::Deserialize;

use super::chat::{self, Digest, Fact, Facts, JsonWriter};
use crate::escape;
use crate::finding::Finding;
use crate::reply::{Judgement, Reply};
use crate::request::RequestSpec;
use crate::spec::{Grouping, Options, RenderError, Rendering, Spec};

pub(crate) const DISCORD: Spec = Spec {
    name: "discord",
    title: "Discord webhook",
    content_type: "application/json",
    max_bytes: MAX_BYTES,
    grouping: Grouping::Digest,
    has_credentials: false,
    accepts_gzip: false,
    hosts: &["discord.com", ".discord.com", "discordapp.com"],
    request: RequestSpec::PLAIN,
    options: &[],
    escape: escape::discord,
    write,
    judge,
};

/// The maximum size of a body. The limits below keep the text under 5,400 bytes: an embed has at most 6,000 characters
/// (<https://docs.discord.com/developers/resources/message#embed-object-embed-limits>).
const MAX_BYTES: usize = 16 * 1024;
/// The maximum length of the title: 256 characters less 10 %.
const MAX_TITLE: usize = 230;
/// The maximum length of the description: 4,096 characters less 10 %, less the space for the fields of a digest.
const MAX_DESCRIPTION: usize = 3000;
/// The maximum length of the value of a field, of which there are at most 10. The limit is 1,024 characters.
const MAX_VALUE: usize = 320;
/// The maximum length of a value beside others on a line.
const MAX_INLINE: usize = 40;
const MAX_LINE: usize = 300;
/// The error codes of a webhook that does not exist
/// (<https://docs.discord.com/developers/topics/opcodes-and-status-codes#json>).
const UNKNOWN_WEBHOOK: u32 = 10015;
const INVALID_WEBHOOK_TOKEN: u32 = 50027;

fn write(rendering: &Rendering<'_>, out: &mut Vec<u8>) -> Result<(), RenderError> {
    let template = rendering.format.render_template(rendering.findings).transpose()?;
    match rendering.findings {
        [finding] => write_event(template.as_deref(), finding, rendering, out),
        _ => write_digest(template.as_deref(), rendering, out),
    }
    Ok(())
}

/// Writes the message about an event. The text of a template is its description and replaces the facts.
fn write_event(template: Option<&str>, finding: &Finding<'_>, rendering: &Rendering<'_>, out: &mut Vec<u8>) {
    let facts = if template.is_some() { Facts::default() } else { Facts::of(finding) };
    let text = template.map(|text| escape::fit_markup(text, MAX_DESCRIPTION));
    write_message(out, finding.severity, |json| {
        json.composed("title", |title| {
            title.extend([chat::label(finding.severity), ": "]);
            escape::fit(&finding.title, MAX_TITLE - title.len(), escape::discord, title)
        });
        json.optional("url", chat::event_link(rendering, finding).as_deref());
        json.optional("timestamp", chat::Moment::of(finding.time).map(|_| finding.time));
        if let Some((text, cut)) = text.filter(|(text, _)| !text.is_empty()) {
            json.composed("description", |description| {
                description.push_str(&text);
                push_notice("\n", cut, finding, description);
            });
        }
        json.list("fields", |json| write_fields(json, &facts, finding));
        json.object("footer", |json| json.composed("text", |text| push_footer(finding, text)));
    });
}

/// Writes the facts of an event, and the notice that something is left out as the last field.
fn write_fields(json: &mut JsonWriter, facts: &Facts<'_>, finding: &Finding<'_>) {
    let left_out = facts.left_out + write_facts(json, &facts.list);
    if left_out > 0 {
        json.element(|json| {
            json.text("name", chat::LEFT_OUT);
            json.flag("inline", false);
            json.composed("value", |value| push_notice("", left_out, finding, value));
        });
    }
}

/// Appends the notice that something is left out after `separator`, if something is.
fn push_notice(separator: &str, left_out: usize, finding: &Finding<'_>, out: &mut String) {
    if left_out > 0 {
        out.push_str(separator);
        chat::push_notice(left_out, finding, "`", escape::discord, out);
    }
}

fn write_digest(template: Option<&str>, rendering: &Rendering<'_>, out: &mut Vec<u8>) {
    let digest = Digest::of(rendering, MAX_DESCRIPTION, |finding| {
        chat::markdown_line(finding, rendering, MAX_LINE, escape::discord)
    });
    write_message(out, digest.severity, |json| {
        json.text("title", &digest.heading);
        match template {
            Some(text) => json.composed("description", |out| chat::push_template(text, MAX_DESCRIPTION, out)),
            None => {
                let rest = digest.rest();
                let lines: Vec<&str> =
                    digest.lines.iter().map(String::as_str).chain(rest.as_deref()).collect();
                json.optional("description", (!lines.is_empty()).then(|| lines.join("\n")).as_deref());
                json.list("fields", |json| write_facts(json, &digest.facts));
            }
        }
    });
}

/// Writes a message with one embed, which mentions nobody.
fn write_message(out: &mut Vec<u8>, severity: Severity, write_embed: impl FnOnce(&mut JsonWriter)) {
    JsonWriter::message(out, |json| {
        json.list("embeds", |json| {
            json.element(|json| {
                json.number("color", chat::colour(severity));
                write_embed(json);
            });
        });
        json.object("allowed_mentions", |json| json.list("parse", |_| ()));
    });
}

/// Writes facts as elements of a list of fields. Returns the number of bytes that are left out.
fn write_facts(json: &mut JsonWriter, facts: &[Fact<'_>]) -> usize {
    let write_fact = |json: &mut JsonWriter, fact: &Fact<'_>| {
        json.text("name", &fact.name);
        json.flag("inline", fact.value.len() <= MAX_INLINE);
        json.composed("value", |value| escape::fit(&fact.value, MAX_VALUE, escape::discord, value))
    };
    facts.iter().map(|fact| json.element(|json| write_fact(json, fact))).sum()
}

/// Appends the footer, which has no Markdown: topic and id. The time has a field of its own.
fn push_footer(finding: &Finding<'_>, footer: &mut String) {
    chat::push_identifier(&finding.event.topic, "", escape::plain, footer);
    footer.extend([chat::SEPARATOR, "event "]);
    chat::push_identifier(&finding.event.id, "", escape::plain, footer);
}

/// The body of an error (<https://docs.discord.com/developers/reference#error-messages>), and of a 429
/// (<https://docs.discord.com/developers/topics/rate-limits#exceeding-a-rate-limit>).
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: u32,
    message: String,
    /// Seconds, with a fraction.
    retry_after: Option<f64>,
}

/// Judges a reply. A webhook that was deleted answers 404 with the code 10015; repeated requests to it block the address of the sender
/// (<https://docs.discord.com/developers/topics/rate-limits#invalid-request-limit-aka-cloudflare-bans>).
fn judge(_: &Options, reply: &Reply<'_>, _: usize) -> Judgement {
    if matches!(reply.status, 200..=299) {
        return chat::accepted(reply);
    }
    let problem = serde_json::from_slice::<Problem>(reply.body).ok();
    let code = problem.as_ref().map_or(0, |problem| problem.code);
    let judgement = match reply.status {
        429 => {
            let wait = problem.as_ref().and_then(|problem| problem.retry_after).and_then(seconds);
            Judgement::whole(Verdict::Retry { reason: Reason::Throttled, after: wait.or(reply.retry_after) })
        }
        // A page instead of JSON comes from the protection in front of Discord, which blocks for a time.
        403 if problem.is_none() => {
            Judgement::whole(Verdict::Retry { reason: Reason::Throttled, after: reply.retry_after })
        }
        401 | 403 | 404 => Judgement::whole(Verdict::Gone),
        400..=499 if matches!(code, UNKNOWN_WEBHOOK | INVALID_WEBHOOK_TOKEN) => {
            Judgement::whole(Verdict::Gone)
        }
        _ => Judgement::by_status(reply),
    };
    let message = problem.filter(|problem| !problem.message.is_empty());
    let message = message.map_or_else(
        || reply.body.to_vec(),
        |problem| {
            if code == 0 { problem.message } else { format!("{} (code {code})", problem.message) }
                .into_bytes()
        },
    );
    chat::explained(judgement, &message)
}

/// Returns a wait of this many seconds, at most [`MAX_RETRY_AFTER`].
fn seconds(seconds: f64) -> Option<Duration> {
    let wait = Duration::try_from_secs_f64(seconds.min(MAX_RETRY_AFTER.as_secs_f64()));
    wait.ok()
}

#[cfg(test)]
mod tests;
