//! The labels of streams. Loki keeps a stream per set of labels, so that there must be few of them: values of events are not
//! labels.

use std::collections::BTreeMap;

/// The first token of the topic.
pub(super) const FAMILY: &str = "family";
/// The severity.
pub(super) const SEVERITY: &str = "severity";
const JOB: (&str, &str) = ("job", "decnet");
/// The family of a topic whose first token is not a plain name.
const OTHER_FAMILY: &str = "other";
const MAX_FAMILY_BYTES: usize = 32;
/// The maximum number of further labels. With the others, there are at most 11; Loki accepts 15.
const MAX_LABELS: usize = 8;
/// The maximum length of a name and of a value; Loki accepts 1024 and 2048.
const MAX_BYTES: usize = 128;

/// Returns the family of a topic.
pub(super) fn family(topic: &str) -> &str {
    let first = topic.split('.').next().unwrap_or_default();
    let is_plain = first.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_plain && (1..=MAX_FAMILY_BYTES).contains(&first.len()) { first } else { OTHER_FAMILY }
}

/// Returns the labels that are the same for every stream, from the option. The option was validated when it was set.
pub(super) fn fixed(option: Option<&str>) -> BTreeMap<String, String> {
    let mut labels = option.and_then(|text| parse(text).ok()).unwrap_or_default();
    labels.entry(JOB.0.to_owned()).or_insert_with(|| JOB.1.to_owned());
    labels
}

/// Parses `site=lab,env=prod`.
///
/// # Errors
/// A label is not valid, repeated, or set by the format. The text says which.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut labels = BTreeMap::new();
    for label in text.split(',') {
        let (name, value) =
            label.trim().split_once('=').ok_or("write labels as name=value, separated by commas")?;
        check(name, value)?;
        if labels.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(format!("the label `{name}` is repeated; remove all but one"));
        }
    }
    if labels.len() > MAX_LABELS { Err(format!("at most {MAX_LABELS} labels")) } else { Ok(labels) }
}

/// Checks a label (<https://grafana.com/docs/loki/latest/get-started/labels/#label-format>).
fn check(name: &str, value: &str) -> Result<(), String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let starts_well =
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && !name.starts_with("__");
    if !starts_well || name.len() > MAX_BYTES || !name.bytes().all(is_name) {
        return Err(format!(
            "`{name}` is not the name of a label: use letters, digits and _, not a digit or __ at the beginning"
        ));
    }
    if [FAMILY, SEVERITY].contains(&name) {
        return Err(format!("the label `{name}` is taken from each event; choose another name"));
    }
    let is_printable = value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if value.is_empty() || value.len() > MAX_BYTES || !is_printable {
        return Err(format!(
            "the value of the label `{name}` must have 1 to {MAX_BYTES} printable ASCII characters"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_parsed_and_job_can_be_replaced() {
        let labels = |text| {
            fixed(Some(text)).into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        assert_eq!(labels("site=lab, env=a=b"), ["env=a=b", "job=decnet", "site=lab"]);
        assert_eq!(labels("job=pots"), ["job=pots"]);
        assert_eq!(fixed(None).len(), 1);
    }

    #[test]
    fn invalid_labels_are_refused() {
        let many: Vec<String> = (0..9).map(|n| format!("l{n}=x")).collect();
        for (bad, problem) in [
            ("", "name=value"),
            ("site", "name=value"),
            ("1a=x", "`1a` is not the name"),
            ("__a=x", "`__a` is not the name"),
            ("a-b=x", "`a-b` is not the name"),
            ("a\"=x", "is not the name"),
            ("a=x,a=y", "`a` is repeated"),
            ("severity=high", "taken from each event"),
            ("a=", "value of the label `a`"),
            ("a=é", "value of the label `a`"),
            (&many.join(","), "at most 8"),
        ] {
            let error = parse(bad).unwrap_err();
            assert!(error.contains(problem), "{bad}: {error}");
        }
    }

    #[test]
    fn family_is_a_plain_name() {
        for (topic, expected) in [
            ("attacker.observed", "attacker"),
            ("x", "x"),
            ("a\"b.c", "other"),
            ("", "other"),
            (&"x".repeat(33), "other"),
        ] {
            assert_eq!(family(topic), expected, "{topic}");
        }
    }
}
