//! The headers that a subscription adds to its requests.

use std::collections::BTreeMap;

use crate::limits::{
    MAX_CUSTOM_HEADER_NAME_BYTES, MAX_CUSTOM_HEADER_VALUE_BYTES, MAX_CUSTOM_HEADERS, MAX_CUSTOM_HEADERS_BYTES,
};
use crate::redact::{EndpointUrl, Secret};

/// The names of headers that define how the request or its body is parsed, that belong to the connection (RFC 9110, sections
/// 7.6.1, 8 and 10.1; RFC 9113, section 8.2.2), or that every request has already.
const RESERVED: [&str; 17] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "range",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];
/// The prefixes of decnet's own headers and of the headers of intermediaries.
const RESERVED_PREFIXES: [&str; 3] = ["webhook-", "x-decnet-", "proxy-"];

/// Headers with unique, sorted names in lower case. Values may be secrets: `Debug` hides them, and only
/// [`Headers::to_stored`] serializes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(BTreeMap<Box<str>, Secret>);

/// The reason why a header is rejected. Contains neither its value nor an invalid name, which may be a misplaced value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The line has no colon.
    #[error("write a header as `Name: value`")]
    Syntax,
    /// The name is invalid.
    #[error(
        "a header name must have 1 to {MAX_CUSTOM_HEADER_NAME_BYTES} letters, digits and hyphens (RFC 9110, section 5.1)"
    )]
    Name,
    /// The name is reserved.
    #[error(
        "the header `{0}` is reserved: decnet sets it itself, or it belongs to the connection; remove it"
    )]
    Reserved(Box<str>),
    /// The value is invalid.
    #[error(
        "the value of the header `{0}` must be one line of printable ASCII, at most {MAX_CUSTOM_HEADER_VALUE_BYTES} bytes"
    )]
    Value(Box<str>),
    /// The name occurs more than once.
    #[error("the header `{0}` is repeated; remove all but one")]
    Repeated(Box<str>),
    /// There are too many headers.
    #[error("there must be at most {MAX_CUSTOM_HEADERS} custom headers")]
    TooMany,
    /// All headers together are larger than most receivers accept.
    #[error(
        "the names and values of all custom headers together must not exceed {MAX_CUSTOM_HEADERS_BYTES} bytes"
    )]
    TooLarge,
    /// Both the URL and the headers have credentials.
    #[error("the URL's user information is sent as `authorization`; remove it, or that header")]
    Authorization,
    /// The stored text is not a JSON object of strings.
    #[error("headers must be a JSON object of strings")]
    Json,
}

impl Headers {
    /// Validates headers; names are converted to lower case, and values are trimmed.
    ///
    /// # Errors
    /// See [`HeaderError`].
    pub fn new<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, HeaderError> {
        let all = headers.into_iter().map(|(name, value)| (name, Some(value)));
        Self::default().with_changes(&HeaderChanges::new(all)?)
    }

    /// Returns these headers after `changes`: a header with a value is set, and a header without a value is removed.
    ///
    /// # Errors
    /// The result exceeds the limits.
    pub fn with_changes(&self, changes: &HeaderChanges) -> Result<Self, HeaderError> {
        let mut all = self.0.clone();
        for (name, value) in &changes.0 {
            match value {
                Some(value) => all.insert(name.clone(), value.clone()),
                None => all.remove(name),
            };
        }
        Self(all).within_limits()
    }

    /// Parses the output of [`Self::to_stored`].
    ///
    /// # Errors
    /// The text is not a JSON object of strings, or a header is invalid.
    pub fn from_stored(json: &str) -> Result<Self, HeaderError> {
        let all: BTreeMap<String, String> = serde_json::from_str(json).map_err(|_| HeaderError::Json)?;
        Self::new(all.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// Returns the form in which the catalog stores the headers, including their values: a JSON object.
    #[must_use]
    pub fn to_stored(&self) -> Secret {
        let texts = self.iter().map(|(name, value)| (name.to_owned(), value.expose().into()));
        Secret::new(serde_json::Value::Object(texts.collect()).to_string())
    }

    /// Checks that the URL and the headers do not both have credentials.
    ///
    /// # Errors
    /// [`HeaderError::Authorization`].
    pub fn check_with_url(&self, url: &EndpointUrl) -> Result<(), HeaderError> {
        let both = url.credentials().is_some() && self.0.contains_key("authorization");
        if both { Err(HeaderError::Authorization) } else { Ok(()) }
    }

    /// Returns the names, in lower case, and the values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// Returns the names, which are not secret.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name)
    }

    /// Returns whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn within_limits(self) -> Result<Self, HeaderError> {
        let bytes: usize = self.iter().map(|(name, value)| name.len() + value.expose().len()).sum();
        match self.0.len() {
            count if count > MAX_CUSTOM_HEADERS => Err(HeaderError::TooMany),
            _ if bytes > MAX_CUSTOM_HEADERS_BYTES => Err(HeaderError::TooLarge),
            _ => Ok(self),
        }
    }
}

/// Headers to set and to remove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderChanges(BTreeMap<Box<str>, Option<Secret>>);

impl HeaderChanges {
    /// Validates changes; a header without a value is removed if it exists.
    ///
    /// # Errors
    /// See [`HeaderError`].
    pub fn new<'a>(
        changes: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<Self, HeaderError> {
        let mut all = BTreeMap::new();
        for (name, value) in changes {
            let name = parse_name(name)?;
            let value = value.map(|value| parse_value(&name, value)).transpose()?;
            if all.insert(name.clone(), value).is_some() {
                return Err(HeaderError::Repeated(name));
            }
        }
        Ok(Self(all))
    }

    /// Splits `Name: value`, as in a request.
    ///
    /// # Errors
    /// The text has no colon.
    pub fn split(line: &str) -> Result<(&str, &str), HeaderError> {
        line.split_once(':').ok_or(HeaderError::Syntax)
    }
}

/// Validates the value of a header that may be set, and trims it.
fn parse_value(name: &str, value: &str) -> Result<Secret, HeaderError> {
    if RESERVED.contains(&name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return Err(HeaderError::Reserved(name.into()));
    }
    let value = value.trim_matches([' ', '\t']);
    let is_printable = value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    if !is_printable || value.len() > MAX_CUSTOM_HEADER_VALUE_BYTES {
        return Err(HeaderError::Value(name.into()));
    }
    Ok(Secret::new(value))
}

/// Validates a name (a token, RFC 9110, section 5.6.2). Returns it in lower case, as HTTP/2 requires.
fn parse_name(name: &str) -> Result<Box<str>, HeaderError> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let fits = (1..=MAX_CUSTOM_HEADER_NAME_BYTES).contains(&name.len());
    if fits && name.bytes().all(is_token) {
        Ok(name.to_ascii_lowercase().into())
    } else {
        Err(HeaderError::Name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(name: &str, value: &str) -> Result<Headers, HeaderError> {
        Headers::new([(name, value)])
    }

    #[test]
    fn reserved_names_are_rejected_in_any_case() {
        let others = ["Webhook-Id", "webhook-signature", "X-DECNET-Signature", "Proxy-Authorization"];
        for name in RESERVED.into_iter().chain(others).chain(["HOST", "Content-Type", "TraceParent"]) {
            let lower = name.to_ascii_lowercase().into();
            assert_eq!(one(name, "x"), Err(HeaderError::Reserved(lower)), "{name}");
        }
        for name in ["authorization", "x-api-key", "cookie", "accept", "content-language", "x-webhook-id"] {
            assert!(one(name, "x").is_ok(), "{name}");
        }
    }

    #[test]
    fn errors_of_invalid_headers_do_not_contain_them() {
        for name in ["", "a b", "a:b", "é", "a\r\nb", &"n".repeat(MAX_CUSTOM_HEADER_NAME_BYTES + 1)] {
            assert_eq!(one(name, "x"), Err(HeaderError::Name), "{name}");
        }
        for value in
            ["hunter2\r\nx: y", "hunter2\0", "hunter2é", &"v".repeat(MAX_CUSTOM_HEADER_VALUE_BYTES + 1)]
        {
            let error = one("x-key", value).unwrap_err();
            assert_eq!(error, HeaderError::Value("x-key".into()));
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
        assert_eq!(Headers::new([("X-A", "1"), ("x-a", "2")]), Err(HeaderError::Repeated("x-a".into())));
        assert_eq!(HeaderChanges::split("hunter2"), Err(HeaderError::Syntax));
    }

    #[test]
    fn number_and_total_size_are_bounded() {
        let names: Vec<String> = (0..=MAX_CUSTOM_HEADERS).map(|n| format!("x-{n}")).collect();
        let all = |count| Headers::new(names[..count].iter().map(|name| (name.as_str(), "")));
        assert!(all(MAX_CUSTOM_HEADERS).is_ok());
        assert_eq!(all(MAX_CUSTOM_HEADERS + 1), Err(HeaderError::TooMany));
        let long = "v".repeat(MAX_CUSTOM_HEADERS_BYTES / 2);
        assert_eq!(Headers::new([("a", &*long), ("b", &*long)]), Err(HeaderError::TooLarge));
    }

    #[test]
    fn only_the_stored_form_contains_values() {
        let headers = one("Authorization", " Bearer hunter2\t").unwrap();
        let changes = HeaderChanges::new([("Authorization", Some("Bearer hunter2"))]).unwrap();
        assert!(!format!("{headers:?} {changes:?}").contains("hunter2"));
        assert_eq!(headers.to_stored().expose(), r#"{"authorization":"Bearer hunter2"}"#);
        assert_eq!(headers.names().collect::<Vec<_>>(), ["authorization"]);
    }

    #[test]
    fn url_and_headers_cannot_both_have_credentials() {
        let url = |text| EndpointUrl::new(text).unwrap();
        let headers = one("authorization", "Bearer x").unwrap();
        assert_eq!(headers.check_with_url(&url("https://u:p@a.example/")), Err(HeaderError::Authorization));
        assert_eq!(headers.check_with_url(&url("https://a.example/")), Ok(()));
        assert_eq!(Headers::default().check_with_url(&url("https://u:p@a.example/")), Ok(()));
    }

    proptest! {
        #[test]
        fn stored_form_round_trips(names in prop::collection::btree_set("x-[a-z0-9]{1,9}", 0..9), value in "[!-~][ -~]{0,40}[!-~]") {
            let headers = Headers::new(names.iter().map(|name| (name.as_str(), value.as_str()))).unwrap();
            prop_assert_eq!(Headers::from_stored(headers.to_stored().expose()), Ok(headers.clone()));
            let none = HeaderChanges::new(names.iter().map(|name| (name.as_str(), None))).unwrap();
            prop_assert_eq!(headers.with_changes(&none), Ok(Headers::default()));
        }

        #[test]
        fn accepted_headers_are_valid_in_a_request(name in ".{0,12}", value in ".{0,40}") {
            if let Ok(headers) = one(&name, &value) {
                for (name, value) in headers.iter() {
                    prop_assert!(!name.contains([':', '\r', '\n', ' ']) && name.to_lowercase() == name);
                    prop_assert!(value.expose().bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b)));
                }
            }
        }
    }
}
