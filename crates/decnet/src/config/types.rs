//! How the text of a setting becomes a value: each function says what to write instead of what it refuses.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use decnet_core::delivery::RetrySchedule;
pub(crate) use decnet_core::duration::show as show_duration;
use ipnet::IpNet;

/// What reading a text comes to; the error completes the sentence "`NAME` …".
pub(crate) type Read<T> = Result<T, String>;

/// `true` or `false` in any case; nothing else, so that a slip never opens what should be closed.
pub(crate) fn boolean(text: &str) -> Read<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("is true or false, not `{text}`")),
    }
}

/// A whole number within bounds.
pub(crate) fn integer<T: FromStr + PartialOrd + Display + Copy>(text: &str, least: T, most: T) -> Read<T> {
    match text.parse::<T>() {
        Ok(number) if number >= least && number <= most => Ok(number),
        _ => Err(format!("is a whole number from {least} to {most}, not `{text}`")),
    }
}

/// `500ms`, `10s`, `2m`, `1h` or `7d`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Read<Duration> {
    decnet_core::duration::parse(text)
        .ok_or_else(|| format!("is a duration such as 500ms, 10s, 2m, 1h or 7d, not `{text}`"))
}

/// A duration within bounds.
pub(crate) fn duration_within(text: &str, least: Duration, most: Duration) -> Read<Duration> {
    let duration = duration(text)?;
    if (least..=most).contains(&duration) {
        return Ok(duration);
    }
    Err(format!("is from {} to {}, not `{text}`", show_duration(least), show_duration(most)))
}

/// A duration up to a bound; a shorter one than `least` counts as that, as it does for DECNET.
pub(crate) fn duration_at_least(text: &str, least: Duration, most: Duration) -> Read<Duration> {
    duration_within(text, Duration::ZERO, most).map(|duration| duration.max(least))
}

/// Failures in a row; none or less counts as one, as it does for DECNET.
pub(crate) fn threshold(text: &str) -> Read<u32> {
    let number = integer(text, i64::MIN, u32::MAX.into())?;
    Ok(u32::try_from(number).unwrap_or(1).max(1))
}

/// `10GiB`, `500MB` or a bare number of bytes.
pub(crate) fn bytes(text: &str) -> Read<u64> {
    let wrong = || format!("is a size such as 10GiB, 500MB or 1048576, not `{text}`");
    let (number, unit) = split_unit(text).ok_or_else(wrong)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1024.0 * 1024.0,
        "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "t" | "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        _ => return Err(wrong()),
    };
    let bytes = number * factor;
    if !(0.0..9e18).contains(&bytes) {
        return Err(wrong());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded above")]
    Ok(bytes as u64)
}

/// Networks or single addresses, separated by commas.
pub(crate) fn networks(text: &str) -> Read<Vec<IpNet>> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(network).collect()
}

/// Origins as browsers send them: scheme, host and, where it is not the scheme's own, port. No wildcard: it would let
/// every page of the web read the answers.
pub(crate) fn origins(text: &str) -> Read<Vec<String>> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(origin).collect()
}

fn origin(text: &str) -> Read<String> {
    let url = url::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let origin = url.map(|url| (url.origin().ascii_serialization(), url));
    match origin {
        Some((origin, url)) if url.path() == "/" && url.query().is_none() && url.username().is_empty() => {
            Ok(origin)
        }
        _ => Err(format!("is a list of origins such as https://dashboard.example:8443; `{text}` is none")),
    }
}

/// Names of hosts, separated by commas.
pub(crate) fn host_names(text: &str) -> Read<Vec<String>> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(host_name).collect()
}

fn host_name(text: &str) -> Read<String> {
    let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if text.chars().all(is_of_a_name) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(format!("is a list of host names without ports such as metrics.example; `{text}` is not one"))
}

fn network(text: &str) -> Read<IpNet> {
    let address = || text.parse::<std::net::IpAddr>().map(IpNet::from);
    text.parse::<IpNet>()
        .or_else(|_| address())
        .map_err(|_| format!("is a list of networks such as 10.1.0.0/16,fd00::/8; `{text}` is none"))
}

/// Delays separated by commas; `none` for no retries at all.
pub(crate) fn schedule(text: &str) -> Read<RetrySchedule> {
    let text = if text.eq_ignore_ascii_case("none") { "" } else { text };
    text.parse().map_err(|error| format!("is a retry schedule such as 1s,30s,10m: {error}"))
}

/// A path, or nothing.
#[expect(clippy::unnecessary_wraps, reason = "every reader of a setting has one shape")]
pub(crate) fn optional_path(text: &str) -> Read<Option<PathBuf>> {
    Ok((!text.is_empty()).then(|| text.into()))
}

/// Any text.
#[expect(clippy::unnecessary_wraps, reason = "every reader of a setting has one shape")]
pub(crate) fn text(text: &str) -> Read<String> {
    Ok(text.into())
}

fn split_unit(text: &str) -> Option<(f64, &str)> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    Some((text[..unit_at].parse().ok()?, text[unit_at..].trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_counts_have_bounds() {
        assert_eq!(duration_at_least("4", Duration::from_secs(5), Duration::MAX), Ok(Duration::from_secs(5)));
        assert_eq!((threshold("0"), threshold("-3"), threshold("7")), (Ok(1), Ok(1), Ok(7)));
        assert!(threshold("five").is_err());
        assert!(duration_within("4", Duration::from_secs(5), Duration::MAX).is_err());
    }

    #[test]
    fn sizes() {
        assert_eq!(bytes("10GiB"), Ok(10 * 1024 * 1024 * 1024));
        assert_eq!(bytes("1 kb"), Ok(1000));
        assert_eq!(bytes("7"), Ok(7));
        assert!(bytes("much").is_err() && bytes("9e99").is_err() && bytes("99999999TiB").is_err());
    }

    #[test]
    fn origins_are_as_a_browser_sends_them() {
        let read = origins("https://Dash.example:443/, http://10.0.0.1:8080");
        assert_eq!(read, Ok(vec!["https://dash.example".into(), "http://10.0.0.1:8080".into()]));
        for bad in ["*", "dash.example", "https://a/b", "https://a/?b", "https://u@a/", "file:///a", "null"] {
            assert!(origins(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn host_names_have_no_port_and_no_wildcard() {
        assert_eq!(host_names("Metrics.Example, a-1"), Ok(vec!["metrics.example".into(), "a-1".into()]));
        for bad in ["a:80", "*.example", "http://a", "[::1]", "a b"] {
            assert!(host_names(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_and_booleans() {
        assert_eq!(networks("10.1.0.0/16, ::1").map(|list| list.len()), Ok(2));
        assert_eq!(networks(""), Ok(vec![]));
        assert!(networks("10.1.0.0/16,here").unwrap_err().contains("`here`"));
        assert_eq!((boolean("TRUE"), boolean("False")), (Ok(true), Ok(false)));
        assert!(boolean("1").is_err() && boolean("yes").is_err());
        assert_eq!(schedule("none").map(|schedule| schedule.retries()), Ok(0));
        assert!(schedule("soon").is_err());
        assert!(integer("0", 1u32, 9).is_err() && integer::<u32>("x", 1, 9).is_err());
    }
}
