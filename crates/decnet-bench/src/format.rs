//! Numbers as text.

use std::time::Duration;

/// Formats a number without its sign and fraction, with commas.
#[must_use]
pub fn thousands(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// Formats a rate with three significant digits, which is its precision, and with commas.
#[must_use]
pub fn rate(rate: f64) -> String {
    if rate < 10.0 {
        return format!("{rate:.1}");
    }
    let unit = 10f64.powf((rate.log10().floor() - 2.0).max(0.0));
    thousands((rate / unit).round() * unit)
}

/// Formats a duration in milliseconds.
#[must_use]
pub fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_three_significant_digits() {
        for (number, expected) in
            [(3.34, "3.3"), (27.4, "27"), (999.6, "1,000"), (27_926.0, "27,900"), (1_234_567.0, "1,230,000")]
        {
            assert_eq!(rate(number), expected);
        }
        assert_eq!((thousands(123.0), thousands(1_234_567.4)), ("123".into(), "1,234,567".into()));
    }
}
