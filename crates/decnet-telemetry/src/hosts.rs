//! The accepted `Host` names of requests to the TCP address.
//!
//! A web page can make its own name resolve to this address (DNS rebinding) and then read the responses. A request with
//! a host name other than this host's is therefore rejected. IP addresses are accepted, since the name of a page is never an IP
//! address.

use std::net::{Ipv4Addr, Ipv6Addr};

use hyper::header::HOST;
use hyper::http::uri::Authority;
use hyper::{Request, Version};

/// The names of this host, in lower case.
#[derive(Debug, Default)]
pub(super) struct Hosts(Vec<String>);

/// The reason why a request is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// The request has no host, several hosts, or an invalid host.
    #[error("the request must have exactly one valid Host header")]
    Malformed,
    /// The request names this host, which is not known as a name of this machine.
    #[error("`{0}` is not a known name of this host; add it to DECNET_METRICS_HOSTS")]
    Foreign(String),
}

impl Hosts {
    /// Accepts `localhost`, the host's own name, and the configured names.
    pub(super) fn new(configured: &[String]) -> Self {
        let own = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let names = configured.iter().cloned().chain(["localhost".to_owned(), own]);
        Self(names.map(|name| name.to_ascii_lowercase()).collect())
    }

    /// Checks whether a request is meant for this host.
    ///
    /// # Errors
    /// The host is not a name of this host, or the request does not name exactly one valid host (RFC 9112, section 3.2).
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<(), Refused> {
        let Some(authority) = authority(request)? else { return Ok(()) };
        let host = authority.host();
        let name = host.strip_suffix('.').unwrap_or(host);
        let is_ours = is_address(host) || self.0.iter().any(|ours| ours.eq_ignore_ascii_case(name));
        if is_ours { Ok(()) } else { Err(Refused::Foreign(host.to_owned())) }
    }
}

/// Returns the host of the request's target, else that of its header (RFC 9112, section 3.2.2). Only HTTP/1.0 requests may
/// omit it.
fn authority<B>(request: &Request<B>) -> Result<Option<Authority>, Refused> {
    let mut headers = request.headers().get_all(HOST).iter();
    let header = match (headers.next(), headers.next()) {
        (None, _) if request.version() < Version::HTTP_11 => None,
        (Some(header), None) => Some(header),
        _ => return Err(Refused::Malformed),
    };
    if let Some(authority) = request.uri().authority() {
        return Ok(Some(authority.clone()));
    }
    let parse = |text: &[u8]| Authority::try_from(text).ok().filter(|host| !host.as_str().contains('@'));
    header.map(|header| parse(header.as_bytes()).ok_or(Refused::Malformed)).transpose()
}

fn is_address(host: &str) -> bool {
    let in_brackets = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    host.parse::<Ipv4Addr>().is_ok() || in_brackets.is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(target: &str, version: Version, hosts: &[&str]) -> Result<(), Refused> {
        let mut request = Request::get(target).version(version);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        Hosts::new(&["Metrics.Example".into()]).check(&request.body(()).unwrap())
    }

    #[test]
    fn only_addresses_and_names_of_this_host_are_accepted() {
        let own = rustix::system::uname().nodename().to_string_lossy().into_owned();
        for host in [
            "127.0.0.1:9464",
            "192.0.2.1",
            "[::1]:9464",
            "[2001:db8::1]",
            "localhost:9464",
            "LOCALHOST.",
            "metrics.example:80",
            &own,
        ] {
            assert_eq!(check("/metrics", Version::HTTP_11, &[host]), Ok(()), "{host}");
        }
        for host in
            ["evil.example:9464", "localhost.evil.example", "127.0.0.1.evil.example", "1.2.3", "0x7f.1"]
        {
            let foreign = host.split(':').next().unwrap().to_owned();
            assert_eq!(
                check("/metrics", Version::HTTP_11, &[host]),
                Err(Refused::Foreign(foreign)),
                "{host}"
            );
        }
    }

    #[test]
    fn a_request_has_exactly_one_host() {
        let here = "127.0.0.1";
        assert_eq!(check("/metrics", Version::HTTP_10, &[]), Ok(()));
        assert_eq!(check("/metrics", Version::HTTP_11, &[]), Err(Refused::Malformed));
        assert_eq!(check("/metrics", Version::HTTP_11, &[here, here]), Err(Refused::Malformed));
        for bad in ["", "a b", "user@127.0.0.1"] {
            assert_eq!(check("/metrics", Version::HTTP_11, &[bad]), Err(Refused::Malformed), "{bad}");
        }
        let evil = "http://evil.example/metrics";
        assert_eq!(check(evil, Version::HTTP_11, &[here]), Err(Refused::Foreign("evil.example".into())));
        assert_eq!(check("http://127.0.0.1/metrics", Version::HTTP_11, &["evil.example"]), Ok(()));
    }
}
