//! What a subscription selects beyond its patterns, and how its requests look.
//!
//! Sources of filters, formats and templates are only bounded here; the crates that compile them check the rest.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Batch;
use crate::duration::{self, DurationText};
use crate::event::BatchFormat;
use crate::limits::{
    DEFAULT_DIGEST_EVENTS, MAX_BATCH_EVENTS, MAX_BATCH_LINGER, MAX_FILTER_BYTES, MAX_FORMAT_OPTION_BYTES,
    MAX_FORMAT_OPTIONS, MAX_TEMPLATE_BYTES,
};

/// The source of a filter: a CEL expression of 1 to [`MAX_FILTER_BYTES`] bytes.
pub type FilterSource = Source<MAX_FILTER_BYTES>;
/// The source of a template: 1 to [`MAX_TEMPLATE_BYTES`] bytes in the syntax of Jinja.
pub type TemplateSource = Source<MAX_TEMPLATE_BYTES>;

/// A text of 1 to `MAX` bytes that contains more than whitespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Source<const MAX: usize>(Box<str>);

/// The format of requests, and the options that are set for it. In JSON: `"slack"`, or
/// `{"name": "elastic", "options": {"index": "decnet"}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "FormatForm", into = "FormatForm")]
pub struct FormatChoice {
    name: Box<str>,
    options: BTreeMap<Box<str>, Box<str>>,
}

/// The method of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Method {
    /// `POST`.
    #[default]
    #[serde(rename = "POST", alias = "post")]
    Post,
    /// `PUT`.
    #[serde(rename = "PUT", alias = "put")]
    Put,
}

/// The events of a time window, in one message for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "DigestFields")]
pub struct Digest {
    #[serde(serialize_with = "duration::serialize")]
    window: Duration,
    max: usize,
}

/// The reason why one of these settings is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// A source is empty or too large.
    #[error("the text must have 1 to {max} bytes and must not be blank")]
    Source {
        /// The limit.
        max: usize,
    },
    /// The format has an invalid name, or too many or too large options.
    #[error(
        "a format is a name such as slack, with at most {MAX_FORMAT_OPTIONS} options whose values have at most \
         {MAX_FORMAT_OPTION_BYTES} bytes"
    )]
    Format,
    /// The method is unknown.
    #[error("`{0}` is not a method; use POST or PUT")]
    Method(Box<str>),
    /// The window of a digest is out of bounds.
    #[error("the window of a digest must be from 1s to {}", duration::show(MAX_BATCH_LINGER))]
    Window,
    /// The number of events in a digest is out of bounds.
    #[error("a digest must list 1 to {MAX_BATCH_EVENTS} events")]
    DigestEvents,
    /// Both a batch and a digest are set.
    #[error("a digest is a batch of its own; remove the batch settings or the digest")]
    BatchAndDigest,
}

impl<const MAX: usize> Source<MAX> {
    /// Validates a source.
    ///
    /// # Errors
    /// [`DestinationError::Source`].
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, DestinationError> {
        let text = text.into();
        let fits = text.len() <= MAX && !text.trim().is_empty();
        if fits { Ok(Self(text)) } else { Err(DestinationError::Source { max: MAX }) }
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> TryFrom<String> for Source<MAX> {
    type Error = DestinationError;

    fn try_from(text: String) -> Result<Self, DestinationError> {
        Self::new(text)
    }
}

impl<const MAX: usize> FromStr for Source<MAX> {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        Self::new(text)
    }
}

impl<const MAX: usize> fmt::Display for Source<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FormatChoice {
    /// The longest name of a format or an option, in bytes.
    const MAX_NAME_BYTES: usize = 32;

    /// Validates the lengths of a name and of options.
    ///
    /// # Errors
    /// [`DestinationError::Format`].
    pub fn new(name: &str, options: BTreeMap<Box<str>, Box<str>>) -> Result<Self, DestinationError> {
        let is_name = |text: &str| (1..=Self::MAX_NAME_BYTES).contains(&text.len());
        let is_option = |name: &str, value: &str| is_name(name) && value.len() <= MAX_FORMAT_OPTION_BYTES;
        let fits = is_name(name)
            && options.len() <= MAX_FORMAT_OPTIONS
            && options.iter().all(|(name, value)| is_option(name, value));
        if fits { Ok(Self { name: name.into(), options }) } else { Err(DestinationError::Format) }
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the options that are set, by name.
    pub fn options(&self) -> impl Iterator<Item = (&str, &str)> {
        self.options.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Returns the format with one more option, or with a changed one.
    ///
    /// # Errors
    /// [`DestinationError::Format`].
    pub fn with_option(mut self, name: &str, value: &str) -> Result<Self, DestinationError> {
        self.options.insert(name.into(), value.into());
        Self::new(&self.name, self.options)
    }
}

/// The JSON forms of a [`FormatChoice`].
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum FormatForm {
    Name(Box<str>),
    WithOptions {
        name: Box<str>,
        #[serde(default)]
        options: BTreeMap<Box<str>, Box<str>>,
    },
}

impl TryFrom<FormatForm> for FormatChoice {
    type Error = DestinationError;

    fn try_from(form: FormatForm) -> Result<Self, DestinationError> {
        match form {
            FormatForm::Name(name) => Self::new(&name, BTreeMap::new()),
            FormatForm::WithOptions { name, options } => Self::new(&name, options),
        }
    }
}

impl From<FormatChoice> for FormatForm {
    fn from(FormatChoice { name, options }: FormatChoice) -> Self {
        if options.is_empty() { Self::Name(name) } else { Self::WithOptions { name, options } }
    }
}

impl FromStr for FormatChoice {
    type Err = DestinationError;

    fn from_str(name: &str) -> Result<Self, DestinationError> {
        Self::new(name, BTreeMap::new())
    }
}

impl Method {
    /// Returns the name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

impl FromStr for Method {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        match text.to_ascii_uppercase().as_str() {
            "POST" => Ok(Self::Post),
            "PUT" => Ok(Self::Put),
            _ => Err(DestinationError::Method(text.into())),
        }
    }
}

/// The fields before validation.
#[derive(Deserialize)]
struct DigestFields {
    window: DurationText,
    #[serde(default = "default_digest_events")]
    max: usize,
}

fn default_digest_events() -> usize {
    DEFAULT_DIGEST_EVENTS
}

impl Digest {
    /// Validates a digest of the events of a `window` that lists up to `max` events by themselves. The window is truncated to whole
    /// milliseconds.
    ///
    /// # Errors
    /// The window is shorter than a second or longer than [`MAX_BATCH_LINGER`], or `max` is 0 or more than
    /// [`MAX_BATCH_EVENTS`].
    pub fn new(window: Duration, max: usize) -> Result<Self, DestinationError> {
        if !(Duration::from_secs(1)..=MAX_BATCH_LINGER).contains(&window) {
            return Err(DestinationError::Window);
        }
        if !(1..=MAX_BATCH_EVENTS).contains(&max) {
            return Err(DestinationError::DigestEvents);
        }
        let whole = Duration::new(window.as_secs(), window.subsec_millis() * 1_000_000);
        Ok(Self { window: whole, max })
    }

    /// Returns the window.
    #[must_use]
    pub fn window(self) -> Duration {
        self.window
    }

    /// Returns the batch that collects the events of the window.
    #[must_use]
    pub fn as_batch(self) -> Batch {
        Batch::new(MAX_BATCH_EVENTS, self.window, BatchFormat::default())
            .expect("a window is a valid linger time")
    }

    /// Returns the number of events that are listed by themselves.
    #[must_use]
    pub fn max(self) -> usize {
        self.max
    }
}

impl TryFrom<DigestFields> for Digest {
    type Error = DestinationError;

    fn try_from(fields: DigestFields) -> Result<Self, DestinationError> {
        Self::new(fields.window.0, fields.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_bounded_and_not_blank() {
        assert!(FilterSource::new("true").is_ok() && FilterSource::new("x".repeat(MAX_FILTER_BYTES)).is_ok());
        for bad in ["", " \n", &"x".repeat(MAX_FILTER_BYTES + 1)] {
            assert_eq!(FilterSource::new(bad), Err(DestinationError::Source { max: MAX_FILTER_BYTES }));
        }
    }

    #[test]
    fn format_is_a_name_or_an_object() {
        let slack: FormatChoice = serde_json::from_str(r#""slack""#).unwrap();
        assert_eq!(serde_json::to_string(&slack).unwrap(), r#""slack""#);
        let json = r#"{"name":"elastic","options":{"index":"decnet"}}"#;
        let elastic: FormatChoice = serde_json::from_str(json).unwrap();
        assert_eq!(elastic.options().collect::<Vec<_>>(), [("index", "decnet")]);
        assert_eq!(serde_json::to_string(&elastic).unwrap(), json);
        for bad in [r#""""#, "7", r#"{"name":"x","options":{"":"y"}}"#, r#"{"options":{}}"#] {
            assert!(serde_json::from_str::<FormatChoice>(bad).is_err(), "{bad}");
        }
        let full: BTreeMap<Box<str>, Box<str>> =
            (0..=MAX_FORMAT_OPTIONS).map(|n| (n.to_string().into(), "v".into())).collect();
        assert_eq!(FormatChoice::new("x", full), Err(DestinationError::Format));
    }

    #[test]
    fn digests_have_bounds_and_a_default() {
        let digest: Digest = serde_json::from_str(r#"{"window":"1m"}"#).unwrap();
        assert_eq!((digest.window(), digest.max()), (Duration::from_secs(60), DEFAULT_DIGEST_EVENTS));
        assert_eq!(serde_json::to_string(&digest).unwrap(), r#"{"window":"1m","max":20}"#);
        assert_eq!(Digest::new(Duration::from_millis(999), 1), Err(DestinationError::Window));
        assert_eq!(Digest::new(MAX_BATCH_LINGER * 2, 1), Err(DestinationError::Window));
        assert_eq!(Digest::new(Duration::from_secs(1), 0), Err(DestinationError::DigestEvents));
    }

    #[test]
    fn methods_are_read_in_either_case() {
        assert_eq!(("put".parse(), "POST".parse()), (Ok(Method::Put), Ok(Method::Post)));
        assert_eq!("GET".parse::<Method>(), Err(DestinationError::Method("GET".into())));
        assert_eq!(serde_json::to_string(&Method::Put).unwrap(), r#""PUT""#);
    }
}
