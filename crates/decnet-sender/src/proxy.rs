//! Connections through an HTTP proxy: `CONNECT` (RFC 9110 section 9.3.6) with the address that the egress guard has checked.

use std::borrow::Cow;
use std::io;
use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use decnet_core::limits::MAX_PROXY_REPLY_BYTES;
use decnet_core::redact::{EndpointUrl, Secret};
use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::request::Origin;
use crate::sockets::Socket;
use crate::texts;

/// An HTTP proxy, and the hosts that are reached without it.
#[derive(Clone)]
pub struct Proxy {
    pub(crate) origin: Origin,
    /// The value of `proxy-authorization`.
    authorization: Option<Secret>,
    exceptions: Box<[Exception]>,
}

/// The reason why a proxy is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// The scheme is not http.
    #[error(
        "only http proxies are supported, such as http://proxy.example:3128; receivers are still reached with TLS inside of it"
    )]
    Scheme,
}

/// Receivers that are reached without the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Exception {
    hosts: Hosts,
    /// The only port to which the exception applies, if there is one.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    All,
    /// The domain and all its subdomains, without a leading dot.
    Domain(Box<str>),
    Network(IpNet),
}

/// The reason why a tunnel could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TunnelError {
    #[error("{}", io_text(.0))]
    Io(#[from] io::Error),
    #[error("it asks for a user name and a password (407)")]
    Unauthorized,
    #[error("it answered {0}")]
    Refused(u16),
    #[error("its reply is not HTTP, or too long")]
    Malformed,
}

impl TunnelError {
    /// Returns whether the proxy itself is at fault, and not the receiver behind it.
    pub(crate) fn is_of_proxy(&self) -> bool {
        // 502, 503 and 504 say that the proxy could not reach the receiver.
        !matches!(self, Self::Refused(502..=504))
    }
}

impl Proxy {
    /// Creates a proxy from its URL, which may have user information. `exceptions` are separated by commas, as in `NO_PROXY`: domains,
    /// which include their subdomains, addresses, networks, or `*` for all hosts. Each may end with a port. Addresses and networks apply
    /// to URLs with literal addresses.
    ///
    /// # Errors
    /// [`ProxyError`].
    pub fn new(url: &EndpointUrl, exceptions: &str) -> Result<Self, ProxyError> {
        if url.is_https() {
            return Err(ProxyError::Scheme);
        }
        let authorization = url.credentials().map(|(user, password)| {
            let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
            let pair = [decoded(user), decoded(password)].join(&b':');
            Secret::new(format!("Basic {}", STANDARD.encode(pair)))
        });
        let exceptions = exceptions.split(',').map(str::trim).filter(|text| !text.is_empty());
        Ok(Self {
            origin: Origin::of(url),
            authorization,
            exceptions: exceptions.map(Exception::new).collect(),
        })
    }

    /// Returns the host name or the address of the proxy, an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.origin.name.trim_matches(['[', ']'])
    }

    /// Returns the port of the proxy.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.origin.port
    }

    /// Returns whether requests to a receiver go through the proxy.
    pub(crate) fn serves(&self, receiver: &Origin) -> bool {
        !self.exceptions.iter().any(|exception| exception.matches(receiver))
    }

    /// Asks the proxy at the other end of `socket` to connect to `address`.
    pub(crate) async fn open(&self, socket: &mut Socket, address: SocketAddr) -> Result<(), TunnelError> {
        let mut request = format!("CONNECT {address} HTTP/1.1\r\nhost: {address}\r\n");
        if let Some(authorization) = &self.authorization {
            request.extend(["proxy-authorization: ", authorization.expose(), "\r\n"]);
        }
        request.push_str("\r\n");
        socket.write_all(request.as_bytes()).await?;
        match read_status(socket).await? {
            200..=299 => Ok(()),
            407 => Err(TunnelError::Unauthorized),
            status => Err(TunnelError::Refused(status)),
        }
    }
}

impl std::fmt::Display for Proxy {
    /// Omits the user name and the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.origin.fmt(f)
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proxy({})", self.origin)
    }
}

impl Exception {
    fn new(text: &str) -> Self {
        // An IPv6 address without brackets has colons of its own.
        let split = text.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
        let port = split.and_then(|(host, port)| Some((host, port.parse().ok()?)));
        match port {
            Some((host, port)) => Self { hosts: Hosts::new(host), port: Some(port) },
            None => Self { hosts: Hosts::new(text), port: None },
        }
    }

    fn matches(&self, receiver: &Origin) -> bool {
        self.port.is_none_or(|port| port == receiver.port)
            && self.hosts.contain(receiver.name.trim_end_matches('.'), receiver.address)
    }
}

impl Hosts {
    fn new(text: &str) -> Self {
        if text == "*" {
            return Self::All;
        }
        let address = text.trim_matches(['[', ']']).parse::<IpAddr>();
        match text.parse::<IpNet>().or_else(|_| address.map(IpNet::from)) {
            Ok(network) => Self::Network(network),
            Err(_) => {
                Self::Domain(text.trim_start_matches("*.").trim_matches('.').to_ascii_lowercase().into())
            }
        }
    }

    fn contain(&self, name: &str, address: Option<IpAddr>) -> bool {
        match self {
            Self::All => true,
            Self::Network(network) => address.is_some_and(|address| network.contains(&address)),
            Self::Domain(domain) => {
                name.strip_suffix(&**domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
        }
    }
}

/// Describes an error of the connection to the proxy.
fn io_text(error: &io::Error) -> Cow<'static, str> {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => "it closed the connection".into(),
        _ => texts::io(error),
    }
}

/// Reads the head of the proxy's reply to its end and returns the status. What follows belongs to the receiver, so the head is read byte
/// by byte; this happens once per connection.
async fn read_status(socket: &mut Socket) -> Result<u16, TunnelError> {
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_PROXY_REPLY_BYTES {
            return Err(TunnelError::Malformed);
        }
        head.push(socket.read_u8().await?);
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut reply = httparse::Response::new(&mut headers);
    match reply.parse(&head) {
        Ok(httparse::Status::Complete(_)) => reply.code.ok_or(TunnelError::Malformed),
        _ => Err(TunnelError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> Origin {
        Origin::of(&EndpointUrl::new(url).unwrap())
    }

    #[test]
    fn exceptions_are_reached_without_the_proxy() {
        let url = EndpointUrl::new("http://proxy.example:3128").unwrap();
        let proxy =
            Proxy::new(&url, "soc.example, .internal.example,*.lab.example,192.0.2.0/24, 2001:db8::1,a.example:8443,[2001:db8::3]:81")
                .unwrap();
        for direct in [
            "https://soc.example",
            "https://a.SOC.example",
            "http://internal.example",
            "http://x.internal.example:8080",
            "https://lab.example",
            "https://a.lab.example",
            "https://192.0.2.9",
            "https://[2001:db8::1]:8443",
            "https://a.example:8443",
            "http://[2001:db8::3]:81",
        ] {
            assert!(!proxy.serves(&origin(direct)), "{direct}");
        }
        for through in [
            "https://notsoc.example",
            "https://example",
            "https://192.0.3.9",
            "https://[2001:db8::2]",
            "https://a.example",
            "http://[2001:db8::3]:82",
        ] {
            assert!(proxy.serves(&origin(through)), "{through}");
        }
        assert!(!Proxy::new(&url, "*").unwrap().serves(&origin("https://soc.example")));
    }

    #[test]
    fn secrets_of_proxies_are_not_shown() {
        let url = EndpointUrl::new("http://user:hunter2@proxy.example:3128").unwrap();
        let proxy = Proxy::new(&url, "").unwrap();
        assert_eq!(format!("{proxy:?}"), "Proxy(http://proxy.example:3128)");
        assert_eq!(proxy.authorization.as_ref().map(Secret::expose), Some("Basic dXNlcjpodW50ZXIy"));
        assert_eq!(
            Proxy::new(&EndpointUrl::new("https://p.example").unwrap(), "").unwrap_err(),
            ProxyError::Scheme
        );
    }
}
