//! The form of a subscription: its fields with their texts, in sections.

mod fields;
mod guide;
mod sections;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

pub use self::fields::{CREDENTIALS, Field, Kind, is_secret};
pub use self::guide::{Credential, Guide};
pub use self::sections::{Section, sections};
use crate::Text;

/// The name of requests without a format, in addresses.
pub const PLAIN: &str = "plain";

/// The values of a form by the names of the fields, as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Values(BTreeMap<String, String>);

/// The format of the subscription in a form.
#[derive(Debug, Clone, Default)]
pub struct FormatInfo {
    /// The name; empty for requests that carry the events themselves.
    pub name: &'static str,
    /// The destination in one line.
    pub title: &'static str,
    /// The options: name, meaning and default.
    pub options: Vec<(&'static str, &'static str, Option<&'static str>)>,
    /// Whether a digest and a template are possible.
    pub has_digest: bool,
    /// Whether several events fit in a request.
    pub has_batch: bool,
    /// Whether bodies may be compressed.
    pub has_gzip: bool,
}

/// What a form shows.
#[derive(Debug, Clone, Default)]
pub struct Form {
    /// The values.
    pub values: Values,
    /// The format.
    pub format: FormatInfo,
    /// The current values that are not shown, if the subscription exists.
    pub current: Option<Current>,
    /// The name of the field that the last attempt got wrong, and why. An empty name is that of the whole form.
    pub error: Option<(String, Text)>,
}

/// The values of an existing subscription that its form does not contain, since they are or may be secret.
#[derive(Debug, Clone, Default)]
pub struct Current {
    /// The UUID.
    pub uuid: Text,
    /// The name.
    pub name: Text,
    /// Scheme, host and port of the receiver.
    pub url: Text,
    /// The version on which the changes are based.
    pub version: String,
    /// A description of the credentials, if there are any.
    pub auth: Option<Text>,
    /// The names of the headers.
    pub headers: Vec<Text>,
    /// The names of the other fields that are set.
    pub set: BTreeSet<&'static str>,
}

impl Values {
    /// Returns values with the line ends that settings have: browsers send CR LF (HTML, section 4.10.21.8).
    #[must_use]
    pub fn normalized(self) -> Self {
        Self(self.0.into_iter().map(|(name, value)| (name, value.replace("\r\n", "\n"))).collect())
    }

    /// Returns a value; empty if it is absent.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |value| value)
    }

    /// Sets a value.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// Returns whether a box is checked.
    #[must_use]
    pub fn is_on(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Checks or clears a box.
    pub fn check(&mut self, name: &str, is_on: bool) {
        if is_on {
            self.set(name, "on");
        }
    }

    /// Returns the names that begin with a prefix, without it, and their values.
    pub fn with_prefix<'v>(&'v self, prefix: &'v str) -> impl Iterator<Item = (&'v str, &'v str)> {
        self.0.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, &**value)))
    }

    /// Returns the lines of a value that are not blank, trimmed.
    pub fn lines<'v>(&'v self, name: &str) -> impl Iterator<Item = &'v str> {
        self.0.get(name).map_or("", |value| value).lines().map(str::trim).filter(|line| !line.is_empty())
    }

    /// Returns the values without secrets: a page never shows a secret again.
    #[must_use]
    pub fn without_secrets(self) -> Self {
        Self(self.0.into_iter().filter(|(name, _)| !is_secret(name)).collect())
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Values {
    fn from(values: [(&str, &str); N]) -> Self {
        Self(values.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

impl Form {
    /// Returns the sections of the form.
    #[must_use]
    pub fn sections(&self) -> Vec<Section> {
        sections(self)
    }

    /// Returns the texts about the destination.
    #[must_use]
    pub fn guide(&self) -> Guide {
        Guide::of(self.format.name, self.format.title)
    }

    /// Returns the error of the whole form.
    #[must_use]
    pub fn general_error(&self) -> Option<&Text> {
        let (field, error) = self.error.as_ref()?;
        let is_shown =
            self.sections().iter().flat_map(|section| &section.fields).any(|shown| shown.name == *field);
        (!is_shown).then_some(error)
    }

    /// Returns the name of the field that gets the focus: the wrong one, or the first one of a new subscription.
    #[must_use]
    pub fn focus(&self) -> &str {
        match &self.error {
            Some((field, _)) => field,
            None if self.current.is_none() => "name",
            None => "",
        }
    }

    /// Returns the path to which the form is sent.
    #[must_use]
    pub fn action(&self) -> String {
        match &self.current {
            Some(current) => format!("/subscriptions/{}/edit", current.uuid.url()),
            None => "/subscriptions/new".to_owned(),
        }
    }

    /// Returns the path of the subscription, or of the list.
    #[must_use]
    pub fn back(&self) -> String {
        match &self.current {
            Some(current) => format!("/subscriptions/{}", current.uuid.url()),
            None => "/subscriptions/new".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_repeated() {
        let values = Values::from([
            ("name", "a"),
            ("auth_password", "p"),
            ("secret", "s"),
            ("headers", "x: y"),
            ("token", "t"),
        ]);
        assert_eq!(values.without_secrets(), Values::from([("name", "a")]));
    }

    #[test]
    fn error_is_shown_at_its_field_or_at_the_top() {
        let form = |field: &str| Form { error: Some((field.into(), "why".into())), ..Form::default() };
        let shown = |form: &Form| {
            let sections = form.sections();
            let fields: Vec<_> = sections.into_iter().flat_map(|section| section.fields).collect();
            fields
                .iter()
                .filter(|field| field.error.is_some())
                .map(|field| field.name.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!((shown(&form("rate")), form("rate").general_error()), (vec!["rate".to_owned()], None));
        assert!(shown(&form("other")).is_empty() && form("other").general_error().is_some());
        let section = form("rate").sections().into_iter().find(Section::has_error).unwrap();
        assert!(section.is_folded && section.is_open(), "a folded section with an error is open");
    }
}
