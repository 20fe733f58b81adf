//! Headers that one subscription adds to its requests.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::limits::{
    MAX_CUSTOM_HEADER_NAME_BYTES, MAX_CUSTOM_HEADER_VALUE_BYTES, MAX_CUSTOM_HEADERS, MAX_CUSTOM_HEADERS_BYTES,
};
use crate::redact::{EndpointUrl, Secret};

/// Names that say how the request or its body is to be read, or belong to the connection (RFC 9110 sections 7.6.1, 8
/// and 10.1, RFC 9113 section 8.2.2), or that every request carries already.
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
/// What names of our own, and of intermediaries, begin with.
const RESERVED_PREFIXES: [&str; 3] = ["webhook-", "x-decnet-", "proxy-"];

/// Names in lower case, sorted, each once, with their values, which may be secrets: `Debug` hides them, and there is
/// no way to serialise them but [`Headers::to_stored`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(BTreeMap<Box<str>, Secret>);

/// Why a header is refused. Never says its value, nor a name that is none, which may be a value in the wrong place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// A line without a colon.
    #[error("write a header as `Name: value`")]
    Syntax,
    /// No name.
    #[error(
        "a header's name has 1 to {MAX_CUSTOM_HEADER_NAME_BYTES} letters, digits and hyphens (RFC 9110 section 5.1)"
    )]
    Name,
    /// A name that is not the operator's to use.
    #[error("the header `{0}` is reserved: decnet writes it itself, or it belongs to the connection")]
    Reserved(Box<str>),
    /// No value.
    #[error(
        "the value of the header `{0}` is printable ASCII, at most {MAX_CUSTOM_HEADER_VALUE_BYTES} bytes, on one line"
    )]
    Value(Box<str>),
    /// The same name again.
    #[error("the header `{0}` is named twice")]
    Repeated(Box<str>),
    /// More than a request should carry.
    #[error("at most {MAX_CUSTOM_HEADERS} headers of your own")]
    TooMany,
    /// Larger than most receivers read.
    #[error("names and values of all headers of your own have at most {MAX_CUSTOM_HEADERS_BYTES} bytes")]
    TooLarge,
    /// The URL says it too.
    #[error("the URL's user information is sent as `authorization` already: remove it, or that header")]
    Authorization,
    /// A stored text that is no JSON object of texts.
    #[error("headers are a JSON object of texts")]
    Json,
}

impl Headers {
    /// Validates headers; names are put in lower case, values lose the white space around them.
    ///
    /// # Errors
    /// See [`HeaderError`].
    pub fn new<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, HeaderError> {
        let mut all = BTreeMap::new();
        for (name, value) in headers {
            let (name, value) = check(name, value)?;
            match all.entry(name) {
                Entry::Vacant(entry) => entry.insert(value),
                Entry::Occupied(entry) => return Err(HeaderError::Repeated(entry.key().clone())),
            };
        }
        Self(all).bounded()
    }

    /// These, with each header of `changes` set, or removed where it has no value.
    ///
    /// # Errors
    /// More than there may be.
    pub fn changed(&self, changes: &HeaderChanges) -> Result<Self, HeaderError> {
        let mut all = self.0.clone();
        for (name, value) in &changes.0 {
            match value {
                Some(value) => all.insert(name.clone(), value.clone()),
                None => all.remove(name),
            };
        }
        Self(all).bounded()
    }

    /// Reads what [`Self::to_stored`] wrote.
    ///
    /// # Errors
    /// A text that is something else, or headers that are refused.
    pub fn from_stored(json: &str) -> Result<Self, HeaderError> {
        let all: BTreeMap<String, String> = serde_json::from_str(json).map_err(|_| HeaderError::Json)?;
        Self::new(all.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// As they rest in the catalog, with every value: a JSON object.
    #[must_use]
    pub fn to_stored(&self) -> Secret {
        let texts = self.iter().map(|(name, value)| (name.to_owned(), value.expose().into()));
        Secret::new(serde_json::Value::Object(texts.collect()).to_string())
    }

    /// Checks that only one of URL and headers says who sends.
    ///
    /// # Errors
    /// [`HeaderError::Authorization`].
    pub fn check_beside(&self, url: &EndpointUrl) -> Result<(), HeaderError> {
        let twice = url.credentials().is_some() && self.0.contains_key("authorization");
        if twice { Err(HeaderError::Authorization) } else { Ok(()) }
    }

    /// Names, in lower case, and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// The names alone: they are no secret.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name)
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn bounded(self) -> Result<Self, HeaderError> {
        let bytes: usize = self.iter().map(|(name, value)| name.len() + value.expose().len()).sum();
        match self.0.len() {
            count if count > MAX_CUSTOM_HEADERS => Err(HeaderError::TooMany),
            _ if bytes > MAX_CUSTOM_HEADERS_BYTES => Err(HeaderError::TooLarge),
            _ => Ok(self),
        }
    }
}

/// Headers to set, and to remove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderChanges(BTreeMap<Box<str>, Option<Secret>>);

impl HeaderChanges {
    /// Validates them; one without a value is to be removed, whether it is there or not.
    ///
    /// # Errors
    /// See [`HeaderError`].
    pub fn new<'a>(
        changes: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<Self, HeaderError> {
        let mut all = BTreeMap::new();
        for (name, value) in changes {
            let (name, value) = match value {
                Some(value) => check(name, value).map(|(name, value)| (name, Some(value)))?,
                None => (lower(name)?, None),
            };
            if let Some(_twice) = all.insert(name.clone(), value) {
                return Err(HeaderError::Repeated(name));
            }
        }
        Ok(Self(all))
    }

    /// Reads `Name: value`, as it stands in a request.
    ///
    /// # Errors
    /// No colon.
    pub fn split(line: &str) -> Result<(&str, &str), HeaderError> {
        line.split_once(':').ok_or(HeaderError::Syntax)
    }
}

impl From<&Headers> for HeaderChanges {
    fn from(headers: &Headers) -> Self {
        Self(headers.0.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect())
    }
}

fn check(name: &str, value: &str) -> Result<(Box<str>, Secret), HeaderError> {
    let name = lower(name)?;
    if RESERVED.contains(&&*name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return Err(HeaderError::Reserved(name));
    }
    let value = value.trim_matches([' ', '\t']);
    let is_printable = value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    if !is_printable || value.len() > MAX_CUSTOM_HEADER_VALUE_BYTES {
        return Err(HeaderError::Value(name));
    }
    Ok((name, Secret::new(value)))
}

/// A token (RFC 9110 section 5.6.2), in lower case as HTTP/2 wants it.
fn lower(name: &str) -> Result<Box<str>, HeaderError> {
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
    fn what_is_decnets_or_the_connections_is_refused_in_any_case() {
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
    fn what_is_no_header_is_refused_without_showing_it() {
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
    fn all_of_them_are_bounded() {
        let names: Vec<String> = (0..=MAX_CUSTOM_HEADERS).map(|n| format!("x-{n}")).collect();
        let all = |count| Headers::new(names[..count].iter().map(|name| (name.as_str(), "")));
        assert!(all(MAX_CUSTOM_HEADERS).is_ok());
        assert_eq!(all(MAX_CUSTOM_HEADERS + 1), Err(HeaderError::TooMany));
        let long = "v".repeat(MAX_CUSTOM_HEADERS_BYTES / 2);
        assert_eq!(Headers::new([("a", &*long), ("b", &*long)]), Err(HeaderError::TooLarge));
    }

    #[test]
    fn values_are_shown_nowhere_but_where_they_are_stored() {
        let headers = one("Authorization", " Bearer hunter2\t").unwrap();
        let changes = HeaderChanges::from(&headers);
        assert!(!format!("{headers:?} {changes:?}").contains("hunter2"));
        assert_eq!(headers.to_stored().expose(), r#"{"authorization":"Bearer hunter2"}"#);
        assert_eq!(headers.names().collect::<Vec<_>>(), ["authorization"]);
    }

    #[test]
    fn only_one_says_who_sends() {
        let url = |text| EndpointUrl::new(text).unwrap();
        let headers = one("authorization", "Bearer x").unwrap();
        assert_eq!(headers.check_beside(&url("https://u:p@a.example/")), Err(HeaderError::Authorization));
        assert_eq!(headers.check_beside(&url("https://a.example/")), Ok(()));
        assert_eq!(Headers::default().check_beside(&url("https://u:p@a.example/")), Ok(()));
    }

    proptest! {
        #[test]
        fn stored_and_back(names in prop::collection::btree_set("x-[a-z0-9]{1,9}", 0..9), value in "[!-~][ -~]{0,40}[!-~]") {
            let headers = Headers::new(names.iter().map(|name| (name.as_str(), value.as_str()))).unwrap();
            prop_assert_eq!(Headers::from_stored(headers.to_stored().expose()), Ok(headers.clone()));
            let all = HeaderChanges::from(&headers);
            prop_assert_eq!(Headers::default().changed(&all), Ok(headers.clone()));
            let none = HeaderChanges::new(names.iter().map(|name| (name.as_str(), None))).unwrap();
            prop_assert_eq!(headers.changed(&none), Ok(Headers::default()));
        }

        #[test]
        fn what_is_accepted_can_stand_in_a_request(name in ".{0,12}", value in ".{0,40}") {
            if let Ok(headers) = one(&name, &value) {
                for (name, value) in headers.iter() {
                    prop_assert!(!name.contains([':', '\r', '\n', ' ']) && name.to_lowercase() == name);
                    prop_assert!(value.expose().bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b)));
                }
            }
        }
    }
}
