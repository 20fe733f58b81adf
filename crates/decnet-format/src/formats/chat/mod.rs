//! What the formats for chat share: the facts of a finding, digests, and the words for them.
//!
//! A message has a colour for the severity, a title, a few facts, and a footer with time, topic and id of the event. A text that is too
//! long is cut field by field, and the message says how much is missing.

mod digest;
mod facts;
mod json_writer;
mod reply;
#[cfg(test)]
pub(super) mod testing;

use decnet_core::severity::Severity;

use crate::escape::{self, Escape};
use crate::finding::Finding;
use crate::link;
use crate::spec::Rendering;

pub(super) use self::digest::{Digest, clock, heading};
pub(super) use self::facts::{Fact, Facts};
pub(super) use self::json_writer::JsonWriter;
pub(super) use self::reply::{accepted, explained, is_ok, not_ok};

/// The maximum length of an escaped topic, type or event id in bytes.
const MAX_NAME_BYTES: usize = 130;
/// The name of the field with the notice that a message does not contain everything, in formats whose fields have names.
pub(super) const LEFT_OUT: &str = "Left out";
/// The separator of the parts of a footer.
pub(super) const SEPARATOR: &str = " · ";

/// Returns the colour of a severity, as 0xRRGGBB.
pub(super) fn colour(severity: Severity) -> u32 {
    match severity {
        Severity::Info => 0x6e_77_81,
        Severity::Low => 0x09_69_da,
        Severity::Medium => 0xd4_a7_2c,
        Severity::High => 0xe3_62_09,
        Severity::Critical => 0xcf_22_2e,
    }
}

/// Returns the colour of a severity as HTML writes it: `#cf222e`.
pub(super) fn colour_code(severity: Severity) -> String {
    format!("#{:06x}", colour(severity))
}

/// Returns the severity as a label: `HIGH`.
pub(super) fn label(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "INFO",
        Severity::Low => "LOW",
        Severity::Medium => "MEDIUM",
        Severity::High => "HIGH",
        Severity::Critical => "CRITICAL",
    }
}

/// Returns the worst severity of some findings.
pub(super) fn worst(findings: &[Finding<'_>]) -> Severity {
    findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Info)
}

/// Returns the link to the page of an event, if the base of links is known.
pub(super) fn event_link(rendering: &Rendering<'_>, finding: &Finding<'_>) -> Option<String> {
    rendering.format.link_base().map(|base| link::to_event(base, &finding.event.id))
}

/// Returns the line of an event in a digest in Markdown: the time of day, which is a link, the severity, and the title with at most `max`
/// bytes.
pub(super) fn markdown_line(
    finding: &Finding<'_>,
    rendering: &Rendering<'_>,
    max: usize,
    escape: Escape,
) -> String {
    let clock = clock(finding);
    let mut line = match event_link(rendering, finding) {
        Some(link) => format!("[{clock}]({link})"),
        None => clock.to_owned(),
    };
    line.extend([" **", label(finding.severity), "** "]);
    escape::fit(&finding.title, max, escape, &mut line);
    line
}

/// Returns an escaped text of at most `max` bytes.
pub(super) fn fitted(text: &str, max: usize, escape: Escape) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    escape::fit(text, max, escape, &mut out);
    out
}

/// Returns a text without markup, shortened to at most `max` bytes.
pub(super) fn shortened(text: String, max: usize) -> String {
    if text.len() <= max { text } else { escape::fit_markup(&text, max).0.into_owned() }
}

/// Appends a topic or an id: between `quotes` as it is, or escaped if it is not a plain identifier.
pub(super) fn push_identifier(text: &str, quotes: &str, escape: Escape, out: &mut String) {
    if escape::is_identifier(text) && text.len() <= MAX_NAME_BYTES {
        out.extend([quotes, text, quotes]);
    } else {
        escape::fit(text, MAX_NAME_BYTES, escape, out);
    }
}

/// Appends the footer of an event: time, topic and id. Topics and ids are between `quotes`, if they are plain identifiers.
pub(super) fn push_footer(finding: &Finding<'_>, quotes: &str, escape: Escape, out: &mut String) {
    if let Some(moment) = Moment::of(finding.time) {
        out.extend([moment.date, " ", moment.clock, " UTC", SEPARATOR]);
    }
    push_identifier(&finding.event.topic, quotes, escape, out);
    out.extend([SEPARATOR, "event "]);
    push_identifier(&finding.event.id, quotes, escape, out);
}

/// Appends the notice that a message does not contain everything.
pub(super) fn push_notice(
    left_out: usize,
    finding: &Finding<'_>,
    quotes: &str,
    escape: Escape,
    out: &mut String,
) {
    out.extend(["… ", &size(left_out), " more in event "]);
    push_identifier(&finding.event.id, quotes, escape, out);
}

/// Returns the notice that the text of a digest is shortened; `None` if it is whole.
pub(super) fn cut_notice(left_out: usize) -> Option<String> {
    (left_out > 0).then(|| format!("… {} more", size(left_out)))
}

/// Appends the text of a digest's template, shortened to at most `max` bytes, and the notice about that.
pub(super) fn push_template(text: &str, max: usize, out: &mut String) {
    let (text, left_out) = escape::fit_markup(text, max);
    out.push_str(&text);
    cut_notice(left_out).iter().for_each(|notice| out.extend(["\n", notice]));
}

/// Returns a number of bytes for people: `210 bytes`, `3.2 KiB`.
fn size(bytes: usize) -> String {
    match bytes {
        1 => "1 byte".into(),
        0..1024 => format!("{bytes} bytes"),
        // One decimal place, rounded up, so that nothing is called 0.
        1024..1_048_576 => format!("{:.1} KiB", (bytes * 10).div_ceil(1024) as f64 / 10.0),
        _ => format!("{:.1} MiB", (bytes * 10).div_ceil(1_048_576) as f64 / 10.0),
    }
}

/// The date and the time of day of an event.
pub(super) struct Moment<'a> {
    /// `2026-04-24`
    pub(super) date: &'a str,
    /// `12:30:00`
    pub(super) clock: &'a str,
}

impl<'a> Moment<'a> {
    /// Splits the time of an event, `2026-04-24T12:30:00.123456+00:00`. `None` if it has another form.
    pub(super) fn of(time: &'a str) -> Option<Self> {
        const SHAPE: &[u8] = b"0000-00-00T00:00:00";
        let start = time.get(..SHAPE.len())?;
        let is_like =
            |(byte, shape): (u8, &u8)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == *shape };
        let rest = time[SHAPE.len()..].strip_suffix("+00:00")?;
        let is_fraction = rest.is_empty()
            || rest.strip_prefix('.').is_some_and(|digits| {
                (1..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
            });
        (is_fraction && start.bytes().zip(SHAPE).all(is_like))
            .then(|| Self { date: &start[..10], clock: &start[11..] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_readable_and_never_zero() {
        let sizes = [
            (1, "1 byte"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (3210, "3.2 KiB"),
            (1_048_577, "1.1 MiB"),
        ];
        for (bytes, text) in sizes {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn shortened_template_of_a_digest_says_how_much_is_missing() {
        let payload = serde_json::json!({"request_path": "x".repeat(30_000)});
        let events = [testing::event(0, "a", &payload), testing::event(1, "a", &payload)];
        for name in ["slack", "discord", "teams", "mattermost"] {
            let format = testing::with_template(name, "{{ path }}");
            let message = testing::try_render(&format, &events, 20).unwrap().to_string();
            assert!(message.contains(" KiB more"), "{name}: {message}");
        }
    }

    #[test]
    fn only_times_of_events_are_split() {
        let moment = Moment::of("2026-04-24T12:30:00.123456+00:00").unwrap();
        assert_eq!((moment.date, moment.clock), ("2026-04-24", "12:30:00"));
        assert!(Moment::of("2026-04-24T12:30:00+00:00").is_some());
        for other in [
            "",
            "2026-04-24",
            "2026-04-24T12:30:00",
            "2026-04-24T12:30:00Z",
            "<@U1>T12:30:00+00:00",
            "2026-04-24T12:30:00.+00:00",
            "2026-04-24T12:30:0é+00:00",
            "2026-04-24T12:30:00x+00:00",
        ] {
            assert!(Moment::of(other).is_none(), "{other}");
        }
    }
}
