//! Numbers with units.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A number of things; displayed exactly, with a comma between groups of three digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub struct Count(pub u64);

impl Count {
    /// Returns whether there are none.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// Returns the number with a noun in singular or plural: `1 receiver`, `2 receivers`.
    #[must_use]
    pub fn of(self, one: &str, many: &str) -> String {
        format!("{self} {}", if self.0 == 1 { one } else { many })
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// A span of time, displayed in its largest unit, rounded down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            0 => f.write_str("less than 1 s"),
            seconds @ ..MINUTE => write!(f, "{seconds} s"),
            seconds @ ..HOUR => write!(f, "{} min", seconds / MINUTE),
            seconds @ ..DAY => write!(f, "{} h {} min", seconds / HOUR, seconds % HOUR / MINUTE),
            seconds => write!(f, "{} d {} h", seconds / DAY, seconds % DAY / HOUR),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped() {
        for (count, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (4_120_007, "4,120,007")] {
            assert_eq!(Count(count).to_string(), text);
        }
        assert_eq!(Count(1).of("receiver", "receivers"), "1 receiver");
    }

    #[test]
    fn span_is_shown_in_its_largest_unit() {
        for (seconds, text) in
            [(0, "less than 1 s"), (59, "59 s"), (399, "6 min"), (3700, "1 h 1 min"), (180_000, "2 d 2 h")]
        {
            assert_eq!(Span(Duration::from_secs(seconds)).to_string(), text);
        }
    }
}
