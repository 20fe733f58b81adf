//! Parsers of settings' values. Each error states the accepted syntax.

use std::fmt::Display;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use decnet_core::access::JwtKey;
use decnet_core::delivery::RetrySchedule;
use decnet_core::duration::show as show_duration;
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_sender::Proxy;
use hyper::Uri;
use ipnet::IpNet;

/// The result of parsing a value. The error completes the sentence "`NAME` …".
pub(crate) type Read<T> = Result<T, String>;

/// Parses one of two words, case-insensitively.
pub(crate) fn either<T>(text: &str, one: (&str, T), other: (&str, T)) -> Read<T> {
    match text {
        _ if text.eq_ignore_ascii_case(one.0) => Ok(one.1),
        _ if text.eq_ignore_ascii_case(other.0) => Ok(other.1),
        _ => Err(format!("must be {} or {}, not `{text}`", one.0, other.0)),
    }
}

/// Parses `true` or `false`, case-insensitively.
pub(crate) fn boolean(text: &str) -> Read<bool> {
    either(text, ("true", true), ("false", false))
}

/// Returns true for anything but `false`, as DECNET does.
pub(crate) fn unless_false(text: &str) -> Read<bool> {
    Ok(!text.eq_ignore_ascii_case("false"))
}

/// Returns false for anything but `true`, as DECNET does, so that a typo never disables a protection.
pub(crate) fn only_true(text: &str) -> Read<bool> {
    Ok(text.eq_ignore_ascii_case("true"))
}

/// Parses a whole number within bounds.
pub(crate) fn integer<T: FromStr + PartialOrd + Display + Copy>(text: &str, least: T, most: T) -> Read<T> {
    match text.parse::<T>() {
        Ok(number) if number >= least && number <= most => Ok(number),
        _ => Err(format!("must be a whole number from {least} to {most}, not `{text}`")),
    }
}

/// Parses `500ms`, `10s`, `2m`, `1h` or `7d`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Read<Duration> {
    decnet_core::duration::parse(text)
        .ok_or_else(|| format!("must be a duration such as 500ms, 10s, 2m, 1h or 7d, not `{text}`"))
}

/// Parses a duration within bounds.
pub(crate) fn duration_within(text: &str, least: Duration, most: Duration) -> Read<Duration> {
    let duration = duration(text)?;
    if (least..=most).contains(&duration) {
        return Ok(duration);
    }
    Err(format!("must be from {} to {}, not `{text}`", show_duration(least), show_duration(most)))
}

/// Parses a duration, or seconds in the syntax of Python's `float`, such as `1e2` or `inf`. Values are clamped to the
/// bounds, as DECNET does with short durations.
pub(crate) fn seconds_clamped(text: &str, least: Duration, most: Duration) -> Read<Duration> {
    if let Some(duration) = decnet_core::duration::parse(text) {
        return Ok(duration.clamp(least, most));
    }
    let seconds: f64 = text.parse().map_err(|_| {
        format!("must be a number of seconds such as 60 or 1e2, or a duration such as 2m, not `{text}`")
    })?;
    // Python's `max(5.0, nan)` is 5.0.
    let seconds = if seconds.is_nan() { 0.0 } else { seconds };
    Ok(Duration::from_secs_f64(seconds.clamp(least.as_secs_f64(), most.as_secs_f64())))
}

/// Parses a number of consecutive failures. Values below 1 count as 1, as in DECNET.
pub(crate) fn threshold(text: &str) -> Read<u32> {
    let number = integer(text, i64::MIN, u32::MAX.into())?;
    Ok(u32::try_from(number).unwrap_or(1).max(1))
}

/// Parses `10GiB`, `500MB` or a bare number of bytes.
pub(crate) fn bytes(text: &str) -> Read<u64> {
    let wrong = || format!("must be a size such as 10GiB, 500MB or 1048576, not `{text}`");
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..unit_at].parse().map_err(|_| wrong())?;
    let factor = match text[unit_at..].trim_start().to_ascii_lowercase().as_str() {
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

/// Parses the parts of a list separated by commas. Empty parts are skipped.
pub(crate) fn list<T>(text: &str, parse: impl Fn(&str) -> Read<T>) -> Read<Vec<T>> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(parse).collect()
}

/// Parses an origin and returns it as browsers send it: scheme, host and any non-default port. A wildcard is rejected: it
/// would let every web page read the responses.
pub(crate) fn origin(text: &str) -> Read<String> {
    let is_origin = |url: &url::Url| {
        let has_only_origin = url.path() == "/" && url.query().is_none() && url.username().is_empty();
        matches!(url.scheme(), "http" | "https") && has_only_origin
    };
    let url = url::Url::parse(text).ok().filter(is_origin);
    url.map(|url| url.origin().ascii_serialization()).ok_or_else(|| {
        let shown = without_secrets(text);
        format!(
            "must be a list of origins such as https://dashboard.example:8443; `{shown}` is not an origin"
        )
    })
}

/// Returns a URL reduced to scheme, host and port: the login, path and query may be secrets.
pub(crate) fn without_secrets(text: &str) -> String {
    match url::Url::parse(text) {
        Ok(url) if url.has_host() => {
            let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
            format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
        }
        _ if text.contains(['@', '/', '?']) => "[hidden]".into(),
        _ => text.into(),
    }
}

/// Parses a host name.
pub(crate) fn host_name(text: &str) -> Read<String> {
    let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if text.chars().all(is_of_a_name) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(format!(
        "must be a list of host names without ports such as metrics.example; `{text}` is not a host name"
    ))
}

/// Parses a network or a single address.
pub(crate) fn network(text: &str) -> Read<IpNet> {
    let address = || text.parse::<std::net::IpAddr>().map(IpNet::from);
    text.parse::<IpNet>().or_else(|_| address()).map_err(|_| {
        format!("must be a list of networks such as 10.1.0.0/16,fd00::/8; `{text}` is not a network")
    })
}

/// Parses delays separated by commas, or `none` for no retries.
pub(crate) fn schedule(text: &str) -> Read<RetrySchedule> {
    let text = if text.eq_ignore_ascii_case("none") { "" } else { text };
    text.parse().map_err(|error| format!("must be a retry schedule such as 1s,30s,10m: {error}"))
}

/// Parses an IP address with a port.
pub(crate) fn address(text: &str) -> Read<SocketAddr> {
    text.parse().map_err(|_| format!("must be an address and a port such as 127.0.0.1:9464, not `{text}`"))
}

/// Returns any text unchanged.
pub(crate) fn text<T: for<'a> From<&'a str>>(text: &str) -> Read<T> {
    Ok(text.into())
}

/// Accepts the only kind of bus.
pub(crate) fn bus_kind(text: &str) -> Read<()> {
    match text.to_ascii_lowercase().as_str() {
        "unix" => Ok(()),
        "nats" => Err("must be unix: this version does not support NATS".into()),
        "fake" => Err("must be unix: `fake` exists only within one Python process".into()),
        _ => Err(format!("must be unix, not `{text}`")),
    }
}

/// Parses a session secret. The error is never shown because the setting is a secret.
pub(super) fn jwt_secret(text: &str) -> Read<Secret> {
    let secret = Secret::new(text);
    JwtKey::new(&secret).map(|_| ()).map_err(|error| error.to_string())?;
    Ok(secret)
}

/// Parses the URL of an HTTP proxy.
pub(super) fn proxy(text: &str) -> Read<EndpointUrl> {
    let shown = || without_secrets(text);
    let wrong = |why: String| format!("must be the URL of an HTTP proxy, not `{}`: {why}", shown());
    let url = EndpointUrl::new(text).map_err(|error| wrong(error.to_string()))?;
    Proxy::new(&url, "").map_err(|error| wrong(error.to_string()))?;
    Ok(url)
}

/// Parses the URL of a collector.
pub(super) fn otel_endpoint(text: &str) -> Read<Uri> {
    let shown = || without_secrets(text);
    let wrong =
        || format!("must be an http:// URL without a user, such as http://localhost:4317, not `{}`", shown());
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let is_plain = uri.scheme_str() == Some("http") && uri.host().is_some() && !text.contains('@');
    if is_plain { Ok(uri) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_counts_have_bounds() {
        assert_eq!((threshold("0"), threshold("-3"), threshold("7")), (Ok(1), Ok(1), Ok(7)));
        assert!(threshold("five").is_err());
        assert!(duration_within("4", Duration::from_secs(5), Duration::MAX).is_err());
    }

    #[test]
    fn seconds_follow_pythons_float_syntax() {
        let read = |text| seconds_clamped(text, Duration::from_secs(5), Duration::from_secs(3600));
        for (text, seconds) in [
            ("60", 60.0),
            ("7200", 3600.0),
            ("1e2", 100.0),
            ("inf", 3600.0),
            ("Infinity", 3600.0),
            ("nan", 5.0),
            ("4", 5.0),
            ("-1", 5.0),
            ("7.5", 7.5),
            ("2m", 120.0),
            ("2h", 3600.0),
        ] {
            assert_eq!(read(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
        }
        assert!(read("soon").unwrap_err().contains("`soon`") && read("").is_err());
    }

    #[test]
    fn urls_are_shown_without_login_and_path() {
        for (text, shown) in [
            ("http://u:hunter2@collector:4317/hunter2?k=hunter2", "http://collector:4317"),
            ("https://u:hunter2@dash.example/", "https://dash.example"),
            ("u:hunter2@collector:4317", "[hidden]"),
            ("http://[hunter2/", "[hidden]"),
            ("collector:4317", "collector:4317"),
            ("*", "*"),
        ] {
            assert_eq!(without_secrets(text), shown, "{text}");
        }
    }

    #[test]
    fn sizes_with_units_are_parsed() {
        assert_eq!(bytes("10GiB"), Ok(10 * 1024 * 1024 * 1024));
        assert_eq!(bytes("1 kb"), Ok(1000));
        assert_eq!(bytes("7"), Ok(7));
        assert!(bytes("much").is_err() && bytes("9e99").is_err() && bytes("99999999TiB").is_err());
    }

    #[test]
    fn origins_are_normalized_as_in_browsers() {
        let origins = |text| list(text, origin);
        let read = origins("https://Dash.example:443/, http://10.0.0.1:8080");
        assert_eq!(read, Ok(vec!["https://dash.example".into(), "http://10.0.0.1:8080".into()]));
        for bad in ["*", "dash.example", "https://a/b", "https://a/?b", "https://u@a/", "file:///a", "null"] {
            assert!(origins(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn host_names_have_no_port_and_no_wildcard() {
        let host_names = |text| list(text, host_name);
        assert_eq!(host_names("Metrics.Example, a-1"), Ok(vec!["metrics.example".into(), "a-1".into()]));
        for bad in ["a:80", "*.example", "http://a", "[::1]", "a b"] {
            assert!(host_names(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_and_booleans_are_parsed() {
        let networks = |text| list(text, network);
        assert_eq!(networks("10.1.0.0/16, ::1").map(|list| list.len()), Ok(2));
        assert_eq!(networks(""), Ok(vec![]));
        assert!(networks("10.1.0.0/16,here").unwrap_err().contains("`here`"));
        assert_eq!((boolean("TRUE"), boolean("False")), (Ok(true), Ok(false)));
        assert!(boolean("1").is_err() && boolean("yes").is_err());
        for text in ["1", "0", "yes", "no", "on", "off"] {
            assert_eq!((unless_false(text), only_true(text)), (Ok(true), Ok(false)), "{text}");
        }
        assert_eq!((unless_false("False"), only_true("True")), (Ok(false), Ok(true)));
        assert_eq!(schedule("none").map(|schedule| schedule.retries()), Ok(0));
        assert!(schedule("soon").is_err());
        assert!(integer("0", 1u32, 9).is_err() && integer::<u32>("x", 1, 9).is_err());
    }
}
