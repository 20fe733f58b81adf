//! Escapers: one per kind of markup. Text of events cannot mention, link, inject markup or break the structure.
//!
//! Attackers write the text: a user name may be `@channel`, a path may be a link to their server. An escaper makes three changes:
//!
//! 1. Hidden characters ([`decnet_core::text::is_hidden`]: controls, changes of the text direction, characters without width) are
//!    removed. Line ends and tabs become spaces: the result has one line.
//! 2. Text that clients turn into links, mentions or emoji by themselves is *defanged*, visibly, as analysts write it: `evil[.]example`,
//!    `http[:]//`, `root[@]host`, `[#]general`. An invisible character would also work, but it would be copied along with the text.
//! 3. Characters with a meaning in the markup are escaped in the way of the markup. What the reader sees does not change.
//!
//! The exception is [`json`], which is for programs: it only escapes.

mod defang;
mod fit;
pub(crate) mod json;
mod markup;
#[cfg(test)]
pub(crate) mod model;

pub(crate) use self::fit::{Escape, fit, fit_markup};

/// The maximum length of the result for one byte of text, in bytes: `&amp;`, `\[@\]`, `&quot;`.
#[cfg(test)]
pub(crate) const MAX_GROWTH: usize = 6;

/// Appends text without markup, defanged.
pub(crate) fn plain(text: &str, out: &mut String) {
    markup::PLAIN.escape(text, out);
}

/// Appends text for HTML, both between tags and in quoted attributes
/// (<https://html.spec.whatwg.org/multipage/parsing.html>).
pub(crate) fn html(text: &str, out: &mut String) {
    markup::HTML.escape(text, out);
}

/// Appends text for Slack's `mrkdwn` (<https://docs.slack.dev/messaging/formatting-message-text>). It has no escape for `*`, `_`, `~`
/// and the backtick: where these could format text, a similar character replaces them. `slack_plain` keeps them.
pub(crate) fn slack(text: &str, out: &mut String) {
    markup::SLACK.escape(text, out);
}

/// Appends text for Slack's `plain_text`, which has no formatting
/// (<https://docs.slack.dev/reference/block-kit/composition-objects/text-object>).
pub(crate) fn slack_plain(text: &str, out: &mut String) {
    markup::SLACK_PLAIN.escape(text, out);
}

/// Appends text for Discord's Markdown (<https://docs.discord.com/developers/reference#message-formatting>).
pub(crate) fn discord(text: &str, out: &mut String) {
    markup::DISCORD.escape(text, out);
}

/// Appends text for a `TextBlock` or a `FactSet` of an Adaptive Card
/// (<https://learn.microsoft.com/adaptive-cards/create/textfeatures>).
pub(crate) fn teams(text: &str, out: &mut String) {
    markup::TEAMS.escape(text, out);
}

/// Appends text for a `TextRun` of an Adaptive Card, which has no Markdown
/// (<https://learn.microsoft.com/adaptive-cards/schema-explorer/text-run>).
pub(crate) fn teams_plain(text: &str, out: &mut String) {
    markup::TEAMS_PLAIN.escape(text, out);
}

/// Appends text for Mattermost's Markdown (<https://docs.mattermost.com/end-user-guide/collaborate/format-messages.html>).
pub(crate) fn mattermost(text: &str, out: &mut String) {
    markup::MATTERMOST.escape(text, out);
}

/// Returns whether a text is a plain identifier, such as a topic or an id, so that it can be shown as it is where there is no
/// markup: ASCII letters, digits, `.`, `-`, `_`.
pub(crate) fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

#[cfg(test)]
mod tests;
