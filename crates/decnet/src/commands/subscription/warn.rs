//! What is allowed and yet deserves a word, in the words of DECNET's API where it has them.

use std::net::IpAddr;

use decnet_core::redact::EndpointUrl;
use decnet_dispatch::sender::Guard;

use crate::config::Config;

/// Warnings about a URL, without what it may hold that is secret.
pub(super) fn of_url(url: &EndpointUrl, config: &Config) -> Vec<String> {
    let insecure = (!url.is_https() && !address(url).is_some_and(|address| address.is_loopback())).then(|| {
        "insecure_url: events go over the network in clear text; use https:// unless that network is yours alone"
            .to_owned()
    });
    insecure.into_iter().chain(forbidden(url, config)).collect()
}

/// An address that the egress guard would refuse at every attempt. Names are looked up when they are dialled.
fn forbidden(url: &EndpointUrl, config: &Config) -> Option<String> {
    let address = address(url)?;
    let guard = Guard::new(config.egress.allow_private, config.egress.allow.clone());
    let forbidden = guard.check(address).err()?;
    Some(format!("forbidden_url: nothing will be delivered as the worker is configured here: {forbidden}"))
}

/// The address that the URL itself names. What goes to this host's own crosses no network.
fn address(url: &EndpointUrl) -> Option<IpAddr> {
    match url.host() {
        url::Host::Ipv4(address) => Some(IpAddr::V4(address)),
        url::Host::Ipv6(address) => Some(IpAddr::V6(address)),
        url::Host::Domain("localhost") => Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)),
        url::Host::Domain(_) => None,
    }
}
