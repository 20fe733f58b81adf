//! Warnings about accepted values, with the codes of DECNET's API where it has them.

use std::net::IpAddr;

use decnet_core::redact::EndpointUrl;

use crate::config::Config;

/// Returns warnings about a URL. They do not contain the URL, which may be a secret.
pub(super) fn of_url(url: &EndpointUrl, config: &Config) -> Vec<String> {
    let insecure =
        (!url.is_https() && !address(url).is_some_and(|address| address.is_loopback())).then(|| {
            "insecure_url: events are sent unencrypted; use https:// unless the network is private".to_owned()
        });
    insecure.into_iter().chain(forbidden(url, config)).collect()
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
        url::Host::Domain("localhost") => Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)),
        url::Host::Domain(_) => None,
    }
}
