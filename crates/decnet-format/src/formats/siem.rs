//! What the formats for SIEMs share.

use std::borrow::Cow;

use decnet_core::time::UnixMicros;

use crate::finding::Finding;

/// The length of a text in a field that a SIEM indexes, in characters. Elastic's mappings do not index longer keywords, and
/// the whole text is part of the original event.
pub(super) const MAX_FIELD_CHARS: usize = 1000;
/// The maximum number of ATT&CK techniques in a field.
pub(super) const MAX_TECHNIQUES: usize = 64;

/// Returns the time of the event. A time that is not valid in RFC 3339, such as one before the year 0, is replaced by the time of
/// admission.
pub(super) fn time(finding: &Finding<'_>) -> UnixMicros {
    UnixMicros::from_sqlite(finding.time).unwrap_or(finding.event.at)
}

/// Returns the beginning of a text for a field. A shortened text ends with an ellipsis.
pub(super) fn field(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_FIELD_CHARS) {
        None => text.into(),
        Some(_) => text.chars().take(MAX_FIELD_CHARS - 1).chain(['…']).collect::<String>().into(),
    }
}

/// Returns the techniques for a field.
pub(super) fn techniques<'f>(finding: &'f Finding<'_>) -> impl Iterator<Item = &'f str> {
    finding.techniques.iter().copied().filter(|id| id.len() <= MAX_FIELD_CHARS).take(MAX_TECHNIQUES)
}

/// Checks a name: printable ASCII without spaces at its ends.
pub(super) fn check_name(value: &str) -> Result<(), String> {
    const MAX_BYTES: usize = 128;
    let is_printable = value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if !value.is_empty() && value.len() <= MAX_BYTES && is_printable && value.trim() == value {
        return Ok(());
    }
    Err(format!("write 1 to {MAX_BYTES} printable ASCII characters"))
}

/// Checks a switch.
pub(super) fn check_switch(value: &str) -> Result<(), String> {
    if matches!(value, "true" | "false") { Ok(()) } else { Err("write true or false".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_fields_end_with_an_ellipsis() {
        let longest = "é".repeat(MAX_FIELD_CHARS);
        assert_eq!(field(&longest), longest);
        let cut = field(&format!("{longest}é")).into_owned();
        assert_eq!((cut.chars().count(), cut.chars().last()), (MAX_FIELD_CHARS, Some('…')));
    }

    #[test]
    fn names_are_printable() {
        for name in ["decnet", "decnet:event", "a b", "x"] {
            assert_eq!(check_name(name), Ok(()));
        }
        for bad in ["", " a", "a ", "é", "a\nb", &"x".repeat(129)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
