//! Digests: one message about several events.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use decnet_core::severity::Severity;

use super::{Fact, Moment, worst};
use crate::finding::Finding;
use crate::spec::Rendering;

/// The maximum number of values that a count lists.
const MAX_COUNTED: usize = 5;
/// The maximum length of a counted value in characters.
const MAX_VALUE_CHARS: usize = 40;

/// What a digest says about all of its events.
pub(in crate::formats) struct Digest<'a> {
    /// The worst severity.
    pub(in crate::formats) severity: Severity,
    /// `37 events: 3 high, 34 low`
    pub(in crate::formats) heading: String,
    /// Types, sources, targets and techniques with their counts, and the period.
    pub(in crate::formats) facts: Vec<Fact<'a>>,
    /// The first events, one line each.
    pub(in crate::formats) lines: Vec<String>,
    /// The number of events without a line.
    pub(in crate::formats) unlisted: usize,
}

impl<'a> Digest<'a> {
    /// Summarises the events. `line` returns the line of an event; all lines together have at most `max_bytes`.
    pub(in crate::formats) fn of(
        rendering: &'a Rendering<'_>,
        max_bytes: usize,
        line: impl FnMut(&Finding<'_>) -> String,
    ) -> Self {
        let findings = rendering.findings;
        let lines = lines(&findings[..findings.len().min(rendering.max_listed)], max_bytes, line);
        Self {
            severity: worst(findings),
            heading: heading(findings),
            facts: facts(findings),
            unlisted: findings.len() - lines.len(),
            lines,
        }
    }

    /// Returns the last line: `and 17 more`, if some events are listed and some are not.
    pub(in crate::formats) fn rest(&self) -> Option<String> {
        (self.unlisted > 0 && !self.lines.is_empty()).then(|| format!("and {} more", self.unlisted))
    }
}

/// Returns the time of day of an event, for a line: `12:30:00`.
pub(in crate::formats) fn clock<'a>(finding: &Finding<'a>) -> &'a str {
    Moment::of(finding.time).map_or("--:--:--", |moment| moment.clock)
}

fn lines(
    findings: &[Finding<'_>],
    max_bytes: usize,
    mut line: impl FnMut(&Finding<'_>) -> String,
) -> Vec<String> {
    let mut left = max_bytes;
    let mut lines = Vec::with_capacity(findings.len());
    for finding in findings {
        let line = line(finding);
        match left.checked_sub(line.len() + 1) {
            Some(rest) => left = rest,
            None => break,
        }
        lines.push(line);
    }
    lines
}

/// Returns the heading of a digest: the number of events by severity.
pub(in crate::formats) fn heading(findings: &[Finding<'_>]) -> String {
    let mut heading = format!("{} events", findings.len());
    let mut before = ": ";
    for severity in Severity::ALL.into_iter().rev() {
        let count = findings.iter().filter(|finding| finding.severity == severity).count();
        if count > 0 {
            write!(heading, "{before}{count} {severity}").expect("writing into memory does not fail");
            before = ", ";
        }
    }
    heading
}

fn facts<'a>(findings: &[Finding<'_>]) -> Vec<Fact<'a>> {
    let types = findings.iter().map(what);
    let sources = findings.iter().filter_map(|finding| finding.source_ip.map(Cow::Borrowed));
    let targets = findings.iter().filter_map(|finding| finding.target.map(Cow::Borrowed));
    let techniques = findings.iter().flat_map(|finding| &finding.techniques).copied().map(Cow::Borrowed);
    let facts = [
        ("Types", top(types)),
        ("Sources", top(sources)),
        ("Targets", top(targets)),
        ("Techniques", top(techniques)),
        ("Period", period(findings)),
    ];
    let present = facts.into_iter().filter_map(|(name, value)| Some((name, value?)));
    present.map(|(name, value)| Fact { name: name.into(), value: value.into() }).collect()
}

/// Returns what an event is about: its type, after the first token of its topic if the type does not begin with it: the topic
/// `credential.captured` with the type `captured` is `credential captured`. Without a type, the topic.
fn what<'v>(finding: &Finding<'_>) -> Cow<'v, str> {
    let (topic, kind) = (&*finding.event.topic, finding.kind);
    let subject = topic.split('.').next().unwrap_or_default();
    let what = match kind {
        "" => topic.to_owned(),
        kind if kind.starts_with(subject) => kind.to_owned(),
        kind => format!("{subject} {kind}"),
    };
    // A dot would be defanged.
    what.replace(['.', '_'], " ").into()
}

/// Returns the most frequent values with their counts: `203.0.113.9 (12), 192.0.2.1 (3), 4 others`. `None` without values.
fn top<'v>(values: impl Iterator<Item = Cow<'v, str>>) -> Option<String> {
    let mut counts = BTreeMap::<Cow<'_, str>, usize>::new();
    values.for_each(|value| *counts.entry(value).or_default() += 1);
    let mut counts: Vec<_> = counts.into_iter().collect();
    // Stable: values with the same count stay in alphabetical order.
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let listed = counts.iter().take(MAX_COUNTED);
    let mut texts: Vec<String> =
        listed.map(|(value, count)| format!("{} ({count})", shortened(value))).collect();
    match counts.len().saturating_sub(MAX_COUNTED) {
        0 => {}
        1 => texts.push("1 other".into()),
        others => texts.push(format!("{others} others")),
    }
    (!texts.is_empty()).then(|| texts.join(", "))
}

fn shortened(value: &str) -> Cow<'_, str> {
    match value.char_indices().nth(MAX_VALUE_CHARS) {
        Some(_) => value.chars().take(MAX_VALUE_CHARS - 1).chain(['…']).collect(),
        None => value.into(),
    }
}

/// Returns the times of the first and the last event: `2026-04-24 12:30:00 to 12:40:00 UTC`.
fn period(findings: &[Finding<'_>]) -> Option<String> {
    let first = Moment::of(findings.first()?.time)?;
    let last = Moment::of(findings.last()?.time)?;
    let date = if first.date == last.date { String::new() } else { format!("{} ", last.date) };
    Some(format!("{} {} to {date}{} UTC", first.date, first.clock, last.clock))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::testing::Sample;

    #[test]
    fn type_is_counted_with_the_subject_of_its_topic() {
        let sample = Sample::new("e1", "credential.captured", Severity::Low, &Value::Null);
        assert_eq!(what(&sample.finding()), "credential captured");
    }
}
