//! The description of a format, and a format with the options of a subscription.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;

use crate::finding::Finding;
use crate::formats;
use crate::reply::{Judgement, Reply, excerpt};
use crate::request::{Acknowledgement, FixedHeader, RequestSpec};
use crate::template::Template;

/// The name of the option that replaces [`Spec::content_type`].
pub(crate) const CONTENT_TYPE_OPTION: &str = "content_type";
/// The maximum number of characters of a rejected name that an error quotes.
const MAX_QUOTED_CHARS: usize = 64;

/// The description of a format.
pub struct Spec {
    /// The name, as in settings: `slack`.
    pub name: &'static str,
    /// The destination in one line, for `--help` and the documentation: `Slack incoming webhook`.
    pub title: &'static str,
    /// The content type of the body, in printable ASCII.
    pub content_type: &'static str,
    /// The maximum size of a body in bytes, some 10 % below the limit of the destination.
    pub max_bytes: usize,
    /// The number of events that one request may carry.
    pub grouping: Grouping,
    /// Whether requests need credentials, so that 401 and 403 mean that the credentials are wrong and not the body.
    pub has_credentials: bool,
    /// Whether the destination accepts `content-encoding: gzip`.
    pub accepts_gzip: bool,
    /// The hosts by which the format is guessed: a host, or `.suffix` for all of its subdomains.
    pub hosts: &'static [&'static str],
    /// What requests need besides the body.
    pub request: RequestSpec,
    /// The options of the format.
    pub options: &'static [OptionSpec],
    /// The escaper for text of events in the markup of this format. Templates apply it to every value.
    pub escape: fn(&str, &mut String),
    /// Writes the body.
    pub write: fn(&Rendering<'_>, &mut Vec<u8>) -> Result<(), RenderError>,
    /// Judges a reply to a request with this number of events.
    pub judge: fn(&Options, &Reply<'_>, events: usize) -> Judgement,
}

/// The number of events that one request may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// One event.
    Single,
    /// One event, or a digest of several events, which people read.
    Digest,
    /// Any number of events, which the destination stores one by one.
    Bulk,
}

/// An option of a format.
pub struct OptionSpec {
    /// The name: `index`.
    pub name: &'static str,
    /// The meaning in one line, for `--help` and the documentation.
    pub help: &'static str,
    /// The default value; `None` means that the option is unset by default.
    pub default: Option<&'static str>,
    /// Checks a value. The error says what is allowed.
    pub check: fn(&str) -> Result<(), String>,
}

/// The values of a format's options. Validated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options(BTreeMap<Box<str>, Box<str>>);

/// A format with the options and the template of a subscription.
#[derive(Clone)]
pub struct Format {
    spec: &'static Spec,
    options: Options,
    template: Option<Template>,
    /// The headers of requests; see [`RequestSpec::headers`].
    headers: Box<[FixedHeader]>,
    /// The base of links to this program's pages, if it is known: `https://decnet.example`.
    link_base: Option<Box<str>>,
}

/// The input of [`Spec::write`].
pub struct Rendering<'a> {
    /// The format.
    pub format: &'a Format,
    /// The events, at least one, oldest first.
    pub findings: &'a [Finding<'a>],
    /// The maximum number of events that a digest lists by themselves; it counts all of them.
    pub max_listed: usize,
}

/// The reason why a format cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// There is no such format.
    #[error("`{name}` is not a format; use one of: {}", formats::names())]
    Unknown {
        /// The name.
        name: Box<str>,
    },
    /// The format has no such option.
    #[error("the format {format} has no option `{option}`; it has: {known}")]
    UnknownOption {
        /// The format.
        format: &'static str,
        /// The option.
        option: Box<str>,
        /// The options of the format, separated by commas.
        known: String,
    },
    /// The value of an option is not valid.
    #[error("the option `{option}` of the format {format}: {problem}")]
    Option {
        /// The format.
        format: &'static str,
        /// The option.
        option: &'static str,
        /// The problem.
        problem: String,
    },
    /// The format does not fit the other settings.
    #[error("{0}")]
    Unsupported(String),
    /// The format needs a template, or the template is not valid.
    #[error("{0}")]
    Template(String),
}

/// The reason why an event cannot be rendered. The delivery is dead, and can be redelivered once the cause is fixed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The event cannot be parsed, for instance because it was erased.
    #[error("the body of event {id} is not a valid event: {problem}")]
    Body {
        /// The id of the event.
        id: Box<str>,
        /// The problem.
        problem: String,
    },
    /// The template failed.
    #[error("{0}")]
    Template(String),
    /// The body is too large even after shortening.
    #[error("the body has {bytes} bytes; the format {format} allows {max}")]
    TooLarge {
        /// The format.
        format: &'static str,
        /// The size of the body.
        bytes: usize,
        /// The limit.
        max: usize,
    },
}

impl Options {
    /// Returns the value of an option, or its default.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| &**value)
    }

    /// Returns whether an option has the value `true`.
    #[must_use]
    pub fn is_on(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }
}

impl Format {
    /// Creates a format from its name, the options that are set, and a template.
    ///
    /// # Errors
    /// See [`FormatError`].
    pub fn new<'o>(
        name: &str,
        options: impl IntoIterator<Item = (&'o str, &'o str)>,
        template: Option<&str>,
        link_base: Option<&str>,
    ) -> Result<Self, FormatError> {
        let spec = formats::find(name).ok_or_else(|| FormatError::Unknown { name: quoted(name) })?;
        let options = spec.read_options(options)?;
        let markup = formats::template::prepare(spec, &options, template.is_some())?;
        let template = template.map(|source| Template::new(source, markup, link_base)).transpose()?;
        let headers = (spec.request.headers)(&options);
        Ok(Self { spec, options, template, headers: headers.into(), link_base: link_base.map(Into::into) })
    }

    /// Returns the description of the format.
    #[must_use]
    pub fn spec(&self) -> &'static Spec {
        self.spec
    }

    /// Returns the options.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Returns the template, if there is one.
    #[must_use]
    pub fn template(&self) -> Option<&Template> {
        self.template.as_ref()
    }

    /// Renders the template; `None` if there is no template.
    pub(crate) fn render_template(&self, findings: &[Finding<'_>]) -> Option<Result<String, RenderError>> {
        self.template.as_ref().map(|template| template.render(findings))
    }

    /// Returns the value of `content-type`: that of the format, unless an option of the format replaces it.
    #[must_use]
    pub fn content_type(&self) -> &str {
        self.options.get(CONTENT_TYPE_OPTION).unwrap_or(self.spec.content_type)
    }

    /// Returns the headers that follow from the options.
    #[must_use]
    pub fn headers(&self) -> &[FixedHeader] {
        &self.headers
    }

    /// Returns the protocol by which the destination acknowledges events, if the options turn it on.
    #[must_use]
    pub fn acknowledgement(&self) -> Option<&'static Acknowledgement> {
        self.spec.request.acknowledgement.as_ref().filter(|protocol| (protocol.is_on)(&self.options))
    }

    /// Returns the path and query of requests, from the path and query of the URL of the subscription. See [`RequestSpec`].
    #[must_use]
    pub fn target<'u>(&self, path_and_query: &'u str) -> Cow<'u, str> {
        self.spec.request.target(path_and_query)
    }

    /// Returns the base of links to this program's pages, if it is known.
    #[must_use]
    pub fn link_base(&self) -> Option<&str> {
        self.link_base.as_deref()
    }

    /// Renders the body of a request. The same findings give the same bytes.
    ///
    /// # Errors
    /// See [`RenderError`].
    pub fn render(&self, findings: &[Finding<'_>], max_listed: usize) -> Result<Bytes, RenderError> {
        let mut body = Vec::with_capacity(1024);
        (self.spec.write)(&Rendering { format: self, findings, max_listed }, &mut body)?;
        if body.len() > self.spec.max_bytes {
            let (format, bytes, max) = (self.spec.name, body.len(), self.spec.max_bytes);
            return Err(RenderError::TooLarge { format, bytes, max });
        }
        Ok(body.into())
    }

    /// Judges the reply to a request with this number of events.
    #[must_use]
    pub fn judge(&self, reply: &Reply<'_>, events: usize) -> Judgement {
        (self.spec.judge)(&self.options, reply, events)
    }
}

/// Returns a rejected name as errors show it.
fn quoted(name: &str) -> Box<str> {
    excerpt(name, MAX_QUOTED_CHARS).into()
}

impl std::fmt::Debug for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Format({})", self.spec.name)
    }
}

impl Spec {
    fn read_options<'o>(
        &'static self,
        given: impl IntoIterator<Item = (&'o str, &'o str)>,
    ) -> Result<Options, FormatError> {
        let defaults = self.options.iter().filter_map(|option| Some((option.name, option.default?)));
        let mut all: BTreeMap<Box<str>, Box<str>> =
            defaults.map(|(name, value)| (name.into(), value.into())).collect();
        for (name, value) in given {
            let option = self.options.iter().find(|option| option.name == name);
            let option = option.ok_or_else(|| self.unknown_option(name))?;
            (option.check)(value).map_err(|problem| FormatError::Option {
                format: self.name,
                option: option.name,
                problem,
            })?;
            all.insert(name.into(), value.into());
        }
        Ok(Options(all))
    }

    fn unknown_option(&self, option: &str) -> FormatError {
        let known: Vec<&str> = self.options.iter().map(|option| option.name).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        FormatError::UnknownOption { format: self.name, option: quoted(option), known }
    }
}
