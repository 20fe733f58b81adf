//! The title of a finding: one sentence for people.

use decnet_core::text::is_hidden;

use super::Finding;

/// The maximum length of a title in characters.
pub const MAX_TITLE_CHARS: usize = 120;
/// The maximum lengths of names in a title, in characters. The second is for titles that would otherwise be too long, so that the
/// address at their end is not cut off.
const MAX_NAME_CHARS: [usize; 2] = [40, 24];
const ELLIPSIS: char = '…';

/// Returns the title: what happened, where, and from which address.
pub(super) fn of(finding: &Finding<'_>) -> String {
    let [first, second] = MAX_NAME_CHARS;
    let title = sentence(finding, first);
    let is_too_long = title.len() > MAX_TITLE_CHARS && title.chars().count() > MAX_TITLE_CHARS;
    shortened(if is_too_long { sentence(finding, second) } else { title }, MAX_TITLE_CHARS)
}

fn sentence(finding: &Finding<'_>, max_name: usize) -> String {
    let mut title = String::with_capacity(MAX_TITLE_CHARS);
    let mut tokens = [""; 5];
    for (token, part) in tokens.iter_mut().zip(finding.event.topic.split('.')) {
        *token = part;
    }
    let from = match tokens {
        ["canary", _, event @ ("triggered" | "placed" | "revoked"), "", _] => {
            title.push_str("Canary token ");
            push_name(finding.token, max_name, &mut title);
            push(&[" ", event], &mut title);
            if event == "triggered" { " by " } else { " from " }
        }
        ["ttp", "rule", "fired", _, ""] | ["ttp", "tagged", "", ..] if !finding.techniques.is_empty() => {
            push_techniques(finding, &mut title);
            " from "
        }
        tokens => {
            match fixed(tokens) {
                Some(sentence) => title.push_str(sentence),
                None => push_topic(finding, &mut title),
            }
            " from "
        }
    };
    if tokens[0] != "decky" && finding.target.is_some() {
        title.push_str(" on ");
        push_name(finding.target, max_name, &mut title);
    }
    if let Some(address) = finding.source_ip {
        push(&[from, address], &mut title);
    }
    title
}

/// Returns the sentence for a topic that contains no names.
fn fixed(tokens: [&str; 5]) -> Option<&'static str> {
    Some(match tokens {
        ["credential", "captured", "", ..] => "Credential captured",
        ["credential", "reuse", "detected", "", _] => "Credential reuse detected",
        ["attacker", "observed", "", ..] => "Attacker observed",
        ["attacker", "scored", "", ..] => "Attacker scored",
        ["attacker", "fingerprinted", "", ..] => "Attacker fingerprinted",
        ["attacker", "fingerprint_rotated", "", ..] => "Attacker changed its fingerprint",
        ["attacker", "session", "started", "", _] => "Session started",
        ["attacker", "session", "ended", "", _] => "Session ended",
        ["attacker", "intel", "enriched", "", _] => "Threat intelligence found for attacker",
        ["email", "received", "", ..] => "E-mail received",
        _ => return None,
    })
}

fn push_techniques(finding: &Finding<'_>, title: &mut String) {
    const LISTED: usize = 4;
    let techniques = &finding.techniques;
    title.push_str(if techniques.len() == 1 { "Technique " } else { "Techniques " });
    title.push_str(&techniques[..techniques.len().min(LISTED)].join(", "));
    if techniques.len() > LISTED {
        title.push_str(&format!(" and {} more", techniques.len() - LISTED));
    }
    title.push_str(" detected");
}

/// Appends a topic as words, and the type if the topic does not contain it: `system.bus.health` is `System bus health`.
fn push_topic(finding: &Finding<'_>, title: &mut String) {
    let topic = &finding.event.topic;
    let mut words = visible(topic).map(as_word);
    title.extend(words.next().map(|first| first.to_ascii_uppercase()));
    title.extend(words.take(MAX_TITLE_CHARS));
    if !finding.kind.is_empty() && !topic.ends_with(finding.kind) {
        title.push_str(" (");
        title.extend(visible(finding.kind).map(as_word).take(MAX_NAME_CHARS[0]));
        title.push(')');
    }
}

/// Returns a character of a topic or type, with the separators of words replaced by spaces.
fn as_word(c: char) -> char {
    if matches!(c, '.' | '_') { ' ' } else { c }
}

fn push_name(name: Option<&str>, max: usize, title: &mut String) {
    title.push_str(&shortened(visible(name.unwrap_or_default()).take(max + 1).collect(), max));
}

fn push(parts: &[&str], title: &mut String) {
    title.extend(parts.iter().copied());
}

/// Returns the characters of a text that are neither controls nor invisible.
fn visible(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| !is_hidden(*c))
}

/// Replaces what exceeds `max` characters by an ellipsis.
fn shortened(mut text: String, max: usize) -> String {
    if text.len() > max && text.chars().nth(max).is_some() {
        let end = text.char_indices().nth(max - 1).map_or(0, |(end, _)| end);
        text.truncate(end);
        text.push(ELLIPSIS);
    }
    text
}

#[cfg(test)]
mod tests {
    use decnet_core::event::Event;
    use decnet_core::severity::Severity;
    use decnet_core::time::UnixMicros;
    use serde_json::{Value, json};

    use super::*;
    use crate::finding::ParsedEvent;

    fn title(topic: &str, kind: &str, payload: &Value) -> String {
        let event = Event::new("e1", topic, kind, UnixMicros(0), &payload.to_string()).unwrap();
        Finding::of(&event, &ParsedEvent::new(&event).unwrap(), Severity::Info).title
    }

    #[test]
    fn each_family_of_topics_has_a_sentence() {
        let all = json!({"attacker_ip": "203.0.113.9", "decky": "decky-03"});
        for (topic, sentence) in [
            ("credential.captured", "Credential captured on decky-03 from 203.0.113.9"),
            ("credential.reuse.detected", "Credential reuse detected on decky-03 from 203.0.113.9"),
            ("attacker.observed", "Attacker observed on decky-03 from 203.0.113.9"),
            ("attacker.scored", "Attacker scored on decky-03 from 203.0.113.9"),
            ("attacker.session.started", "Session started on decky-03 from 203.0.113.9"),
            ("attacker.session.ended", "Session ended on decky-03 from 203.0.113.9"),
            ("canary.web-7.triggered", "Canary token web-7 triggered on decky-03 by 203.0.113.9"),
            ("canary.web-7.placed", "Canary token web-7 placed on decky-03 from 203.0.113.9"),
            ("ttp.rule.fired.T1110", "Technique T1110 detected on decky-03 from 203.0.113.9"),
            ("email.received", "E-mail received on decky-03 from 203.0.113.9"),
        ] {
            assert_eq!(title(topic, "", &all), sentence);
        }
        assert_eq!(title("canary.web-7.revoked", "", &json!({})), "Canary token web-7 revoked");
    }

    #[test]
    fn other_topics_become_words() {
        for (topic, kind, sentence) in [
            ("system.bus.health", "bus.health", "System bus health"),
            ("decky.web-01.traffic", "traffic", "Decky web-01 traffic"),
            (
                "attacker.observation.motor.input_modality",
                "x",
                "Attacker observation motor input modality (x)",
            ),
            ("credential.captured.again", "", "Credential captured again"),
            ("canary.a.triggered.b", "", "Canary a triggered b"),
            ("ttp.tagged", "ttp.tagged", "Ttp tagged"),
            ("ölfass", "", "ölfass"),
        ] {
            assert_eq!(title(topic, kind, &json!({})), sentence);
        }
    }

    #[test]
    fn several_techniques_are_counted() {
        let payload = json!({"techniques_added": ["T0001", "T0002", "T0003", "T0004", "T0005", "T0006"]});
        let sentence = "Techniques T0001, T0002, T0003, T0004 and 2 more detected";
        assert_eq!(title("ttp.tagged", "", &payload), sentence);
    }

    #[test]
    fn long_names_are_cut_and_the_address_is_kept() {
        let payload = json!({"decky": "d".repeat(500), "ip": "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff"});
        let title = title(&format!("canary.{}.triggered", "t".repeat(500)), "", &payload);
        assert!(title.ends_with("… by 2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff"), "{title}");
    }

    proptest::proptest! {
        #[test]
        fn titles_are_bounded_and_visible(topic in "\\PC{0,200}|.{0,50}", kind in ".{0,50}", decky in ".{0,200}") {
            let title = title(&topic, &kind, &json!({"decky": decky, "src_ip": "203.0.113.9"}));
            proptest::prop_assert!(title.chars().count() <= MAX_TITLE_CHARS);
            proptest::prop_assert!(!title.contains(is_hidden));
        }
    }
}
