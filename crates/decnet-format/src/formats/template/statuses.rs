//! Lists of HTTP status codes.

use std::ops::RangeInclusive;
use std::str::FromStr;

/// The status codes that exist (RFC 9110 section 15).
const VALID: RangeInclusive<u16> = 100..=599;
/// The maximum number of codes and ranges in a list.
const MAX_ENTRIES: usize = 32;
const SYNTAX: &str = "write status codes from 100 to 599 and ranges of them, separated by commas, such as 200-299,304; or none";

/// Status codes: numbers and ranges, separated by commas.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct StatusList(Vec<RangeInclusive<u16>>);

impl StatusList {
    /// Returns whether the list contains a status.
    pub(super) fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }

    /// Returns the first status, in the order of this list, that is also in the other.
    pub(super) fn first_common(&self, other: &Self) -> Option<u16> {
        self.0.iter().cloned().flatten().find(|status| other.contains(*status))
    }
}

/// Parses `200-299,304`. `none` and an empty text are an empty list.
impl FromStr for StatusList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if matches!(text.trim(), "" | "none") {
            return Ok(Self::default());
        }
        let ranges: Option<Vec<_>> = text.split(',').map(|entry| range(entry.trim())).collect();
        let ranges = ranges.ok_or(SYNTAX)?;
        if ranges.len() > MAX_ENTRIES {
            return Err(format!("at most {MAX_ENTRIES} codes and ranges; combine codes into ranges"));
        }
        Ok(Self(ranges))
    }
}

fn range(entry: &str) -> Option<RangeInclusive<u16>> {
    let is_number = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
    let number =
        |text| Some(text).filter(is_number)?.parse::<u16>().ok().filter(|status| VALID.contains(status));
    let (first, last) = entry.split_once('-').unwrap_or((entry, entry));
    let (first, last) = (number(first.trim())?, number(last.trim())?);
    (first <= last).then_some(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_has_codes_and_ranges() {
        let list: StatusList = "200-299, 304 ,500-500".parse().unwrap();
        for (status, is_in) in
            [(199, false), (200, true), (299, true), (300, false), (304, true), (500, true), (501, false)]
        {
            assert_eq!(list.contains(status), is_in, "{status}");
        }
        for empty in ["", " ", "none"] {
            assert_eq!(empty.parse(), Ok(StatusList::default()));
        }
    }

    #[test]
    fn invalid_lists_are_refused() {
        for bad in [
            "ok",
            "200-",
            "-299",
            "299-200",
            "99",
            "600",
            "200,,204",
            "2xx",
            "200;204",
            "+200",
            "200-299-300",
        ] {
            assert_eq!(bad.parse::<StatusList>(), Err(SYNTAX.to_owned()), "{bad}");
        }
        assert!("200,".repeat(32).trim_end_matches(',').parse::<StatusList>().is_ok());
        assert!("200,".repeat(33).trim_end_matches(',').parse::<StatusList>().is_err());
    }

    #[test]
    fn common_status_of_two_lists_is_found() {
        let list = |text: &str| text.parse::<StatusList>().unwrap();
        assert_eq!(list("200-299").first_common(&list("300,250-260")), Some(250));
        assert_eq!(list("200-299").first_common(&list("300-399")), None);
    }
}
