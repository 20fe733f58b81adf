//! Values that cannot print their secrets.

use std::fmt;

use url::{Host, Url};

use crate::limits::MAX_URL_BYTES;
use crate::text::BYTE_ORDER_MARK;

/// A secret text, which `Debug` does not print. Sign and verify with it through [`crate::signature`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// Returns the text. Every caller must keep it out of logs and errors.
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

/// The URL of a receiver: an absolute http or https URL.
///
/// `Display` and `Debug` print scheme, host and port only, and `/…` for the rest. The rest may be a secret: the path is in
/// the webhook URLs of many chat services, and user information may be.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EndpointUrl(Url);

/// The reason why a URL is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// The text is not a URL.
    #[error("not a URL: {0}")]
    Syntax(#[from] url::ParseError),
    /// The scheme is neither http nor https.
    #[error("the scheme `{0}` is not allowed; use http or https")]
    Scheme(Box<str>),
    /// The URL has no host.
    #[error("the URL has no host")]
    NoHost,
    /// The text begins with U+FEFF, which many editors write at the beginning of a file.
    #[error("the URL begins with a byte order mark (U+FEFF); remove it")]
    ByteOrderMark,
    /// The text is longer than [`MAX_URL_BYTES`].
    #[error("the URL is longer than {MAX_URL_BYTES} bytes")]
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

    /// Returns the whole URL, including its secrets.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }

    /// Returns the user name and the password, percent-encoded, if there are any.
    #[must_use]
    pub fn credentials(&self) -> Option<(&str, &str)> {
        let (user, password) = (self.0.username(), self.0.password());
        (!user.is_empty() || password.is_some()).then(|| (user, password.unwrap_or("")))
    }

    /// Returns the path and the query as in a request line.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.0[url::Position::BeforePath..url::Position::AfterQuery]
    }

    /// Returns the host, a name or an address.
    #[must_use]
    pub fn host(&self) -> Host<&str> {
        self.0.host().unwrap_or(Host::Domain(""))
    }

    /// Returns the host as in a `Host` header, an IPv6 address in brackets.
    #[must_use]
    pub fn host_str(&self) -> &str {
        self.0.host_str().unwrap_or("")
    }

    /// Returns the explicit port, or otherwise the default port of the scheme.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(80)
    }

    /// Returns the port if it is explicit and not the default port of the scheme.
    #[must_use]
    pub fn explicit_port(&self) -> Option<u16> {
        self.0.port()
    }

    /// Returns whether the scheme is https.
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
    fn only_scheme_host_and_port_are_printed() {
        let url = EndpointUrl::new("https://user:hunter2@example.org:8443/in?token=abc#frag").unwrap();
        assert_eq!(url.to_string(), "https://example.org:8443/…");
        assert_eq!(format!("{url:?}"), "https://example.org:8443/…");
        assert_eq!(url.path_and_query(), "/in?token=abc");
        assert_eq!(url.credentials(), Some(("user", "hunter2")));
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[secret]");
        for (url, printed) in [
            ("https://hooks.chat.example/services/T1/B2/hunter2", "https://hooks.chat.example/…"),
            ("https://example.org/?token=hunter2", "https://example.org/…"),
            ("https://example.org", "https://example.org/"),
            ("http://[::1]:8080/", "http://[::1]:8080/"),
        ] {
            assert_eq!(EndpointUrl::new(url).unwrap().to_string(), printed);
        }
    }

    #[test]
    fn invalid_urls_are_rejected() {
        assert_eq!(EndpointUrl::new("file:///etc/passwd"), Err(UrlError::Scheme("file".into())));
        assert!(matches!(EndpointUrl::new("no url"), Err(UrlError::Syntax(_))));
        assert_eq!(EndpointUrl::new("\u{feff}https://a.example/"), Err(UrlError::ByteOrderMark));
        assert_eq!(
            EndpointUrl::new(&format!("http://a/{}", "x".repeat(MAX_URL_BYTES))),
            Err(UrlError::TooLong)
        );
        assert_eq!(EndpointUrl::new("http://127.1/").unwrap().host_str(), "127.0.0.1");
    }

    #[test]
    fn international_host_names_become_ascii() {
        let host = |url| EndpointUrl::new(url).map(|url| url.host_str().to_owned());
        assert_eq!(host("https://Stra\u{df}e.example/").unwrap(), "xn--strae-oqa.example");
        assert_eq!(host("https://b\u{fc}cher.example/"), host("https://BU\u{308}CHER.example/"));
        assert_eq!(host("https://\u{4f8b}\u{3048}\u{3002}example/").unwrap(), "xn--r8jz45g.example");
        assert_eq!(host("https://\u{ff11}\u{ff12}\u{ff17}.1/").unwrap(), "127.0.0.1");
        assert!(host("https://a\u{5d0}.example/").is_err(), "mixed directions");
    }
}
