//! Values that cannot print their secrets.

use std::fmt;

use url::{Host, Url};

use crate::limits::MAX_URL_BYTES;
use crate::text::BYTE_ORDER_MARK;

/// A text that never shows itself; compare and sign with it through [`crate::signature`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Hides a text.
    #[must_use]
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself. Every call is a place to check that it goes into no log and no error.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Where a subscription's events go: an absolute http or https URL.
///
/// Shown as scheme, host and port: what follows may be a secret, as the whole path is of many chats' webhooks, and so may
/// user information. `/…` stands for what is not shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EndpointUrl(Url);

/// Why a URL is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not a URL at all.
    #[error("not a URL: {0}")]
    Syntax(#[from] url::ParseError),
    /// Something that we do not POST to.
    #[error("the scheme `{0}` is not allowed; use http or https")]
    Scheme(Box<str>),
    /// A file path or the like.
    #[error("the URL names no host")]
    NoHost,
    /// Begins with U+FEFF, which many editors write at the beginning of a file.
    #[error("the URL begins with a byte order mark (U+FEFF); leave that out")]
    ByteOrderMark,
    /// Longer than anything sensible.
    #[error("longer than {MAX_URL_BYTES} bytes")]
    TooLong,
}

impl EndpointUrl {
    /// Validates a URL.
    ///
    /// # Errors
    /// See [`UrlError`].
    pub fn new(text: &str) -> Result<Self, UrlError> {
        if text.len() > MAX_URL_BYTES {
            return Err(UrlError::TooLong);
        }
        if text.starts_with(BYTE_ORDER_MARK) {
            return Err(UrlError::ByteOrderMark);
        }
        let url = Url::parse(text)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UrlError::Scheme(url.scheme().into()));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(UrlError::NoHost);
        }
        Ok(Self(url))
    }

    /// The whole URL, with whatever secrets it carries.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }

    /// User name and password, percent-decoding left to the caller, if there are any.
    #[must_use]
    pub fn credentials(&self) -> Option<(&str, &str)> {
        let (user, password) = (self.0.username(), self.0.password());
        (!user.is_empty() || password.is_some()).then(|| (user, password.unwrap_or("")))
    }

    /// Path and query, as they stand in a request line.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.0[url::Position::BeforePath..url::Position::AfterQuery]
    }

    /// The host, a name or an address.
    #[must_use]
    pub fn host(&self) -> Host<&str> {
        self.0.host().unwrap_or(Host::Domain(""))
    }

    /// The host as it stands in a `Host` header, an IPv6 address in brackets.
    #[must_use]
    pub fn host_str(&self) -> &str {
        self.0.host_str().unwrap_or("")
    }

    /// The port that is written or that the scheme implies.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(80)
    }

    /// The port, only if it is written and not the scheme's own.
    #[must_use]
    pub fn explicit_port(&self) -> Option<u16> {
        self.0.port()
    }

    /// Is the connection encrypted?
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.host_str())?;
        if let Some(port) = self.0.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(if self.path_and_query() == "/" { "/" } else { "/…" })
    }
}

impl fmt::Debug for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_nothing_but_scheme_host_and_port() {
        let url = EndpointUrl::new("https://user:hunter2@example.org:8443/in?token=abc#frag").unwrap();
        assert_eq!(url.to_string(), "https://example.org:8443/…");
        assert_eq!(format!("{url:?}"), "https://example.org:8443/…");
        assert_eq!(url.path_and_query(), "/in?token=abc");
        assert_eq!(url.credentials(), Some(("user", "hunter2")));
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[secret]");
        for (url, shown) in [
            ("https://hooks.chat.example/services/T1/B2/hunter2", "https://hooks.chat.example/…"),
            ("https://example.org/?token=hunter2", "https://example.org/…"),
            ("https://example.org", "https://example.org/"),
            ("http://[::1]:8080/", "http://[::1]:8080/"),
        ] {
            assert_eq!(EndpointUrl::new(url).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn refuses_what_is_no_endpoint() {
        assert_eq!(EndpointUrl::new("file:///etc/passwd"), Err(UrlError::Scheme("file".into())));
        assert!(matches!(EndpointUrl::new("no url"), Err(UrlError::Syntax(_))));
        assert_eq!(EndpointUrl::new("\u{feff}https://a.example/"), Err(UrlError::ByteOrderMark));
        assert_eq!(
            EndpointUrl::new(&format!("http://a/{}", "x".repeat(MAX_URL_BYTES))),
            Err(UrlError::TooLong)
        );
        assert_eq!(EndpointUrl::new("http://127.1/").unwrap().host_str(), "127.0.0.1");
    }
}
