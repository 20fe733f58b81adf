//! URLs of receivers: from arguments and files, and warnings about them, with the codes of DECNET's API where it has them.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use decnet_core::limits::MAX_URL_BYTES;
use decnet_core::redact::{EndpointUrl, UrlError};
use decnet_core::settings::Settings;

use super::file_args;
use crate::config::Config;
use crate::failure::Usage;

/// The maximum bytes of a URL file: the longest URL and a line end.
const MAX_FILE_BYTES: u64 = MAX_URL_BYTES as u64 + 2;

/// Reads a URL from the first line of a file, or of stdin for `-`.
///
/// # Errors
/// As [`parse`]; also if the file cannot be read or is empty.
pub(crate) fn read(path: &Path, argument: &str) -> anyhow::Result<EndpointUrl> {
    parse(&file_args::read_line(path, MAX_FILE_BYTES + 1, "URL")?, argument)
}

/// Parses the URL of this argument.
///
/// # Errors
/// The URL is not valid. The error does not contain the URL, which may be a secret.
pub(crate) fn parse(text: &str, argument: &str) -> anyhow::Result<EndpointUrl> {
    let url = EndpointUrl::new(text.trim()).map_err(|error| {
        let hint = if matches!(error, UrlError::Syntax(_)) { "; write https://host/path" } else { "" };
        Usage::new(format!("{argument}: {error}{hint}"))
    });
    Ok(url?)
}

/// Returns warnings about a URL. They do not contain the URL, which may be a secret.
pub(crate) fn warnings(url: &EndpointUrl, config: &Config) -> Vec<String> {
    let insecure =
        (!url.is_https() && !address(url).is_some_and(|address| address.is_loopback())).then(|| {
            "insecure_url: events are sent unencrypted; use https:// unless the network is private".to_owned()
        });
    insecure.into_iter().chain(forbidden(url, config)).collect()
}

/// Returns a warning if the URL belongs to a service that refuses plain events, and the settings have no format.
pub(crate) fn format_warning(url: &EndpointUrl, settings: &Settings) -> Option<String> {
    let spec = decnet_format::guess(url.host_str()).filter(|_| settings.format.is_none())?;
    let (host, name) = (url.host_str(), spec.name);
    Some(format!("{host} expects the format {name} and refuses plain events; add --format {name}"))
}

/// Returns a warning if the egress guard blocks the address in the URL. Host names are checked at each attempt.
fn forbidden(url: &EndpointUrl, config: &Config) -> Option<String> {
    let forbidden = config.worker.sender.guard.check(address(url)?).err()?;
    Some(format!(
        "forbidden_url: nothing will be delivered with the worker's configuration here: {forbidden}"
    ))
}

/// Returns the address in the URL. `localhost` counts as a loopback address.
fn address(url: &EndpointUrl) -> Option<IpAddr> {
    match url.host() {
        url::Host::Ipv4(address) => Some(IpAddr::V4(address)),
        url::Host::Ipv6(address) => Some(IpAddr::V6(address)),
        url::Host::Domain("localhost") => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        url::Host::Domain(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_destination_without_a_format_is_warned_about() {
        let warning =
            |url: &str, settings: &Settings| format_warning(&EndpointUrl::new(url).unwrap(), settings);
        let slack = "https://hooks.slack.com/services/T1/B2/hunter2";
        let expected =
            "hooks.slack.com expects the format slack and refuses plain events; add --format slack";
        assert_eq!(warning(slack, &Settings::default()).as_deref(), Some(expected));
        let formatted = Settings { format: "slack".parse().ok(), ..Settings::default() };
        assert_eq!(warning(slack, &formatted), None);
        assert_eq!(warning("https://siem.example/hook", &Settings::default()), None);
    }
}
