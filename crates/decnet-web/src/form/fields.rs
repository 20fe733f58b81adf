//! One field of a form.

use crate::Text;

/// A field as a form shows it.
#[derive(Debug, Clone)]
pub struct Field {
    /// The name.
    pub name: String,
    /// The label.
    pub label: String,
    /// What to write, in one or two sentences.
    pub hint: String,
    /// The kind of the control.
    pub kind: Kind,
    /// The value.
    pub value: String,
    /// Why the value is wrong.
    pub error: Option<Text>,
    /// Whether a value is set that is not shown, and that a box can clear.
    pub is_set: bool,
    /// Whether the form needs a value.
    pub is_required: bool,
}

/// The kind of a control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// One line.
    Line,
    /// A whole number.
    Number,
    /// Several lines, with this number of rows.
    Lines(u8),
    /// One of several values, with their names.
    Select(Vec<(&'static str, String)>),
    /// Yes or no.
    Check,
    /// One line that is not shown.
    Secret,
}

/// The fields of credentials in `authorization`, except for their type.
pub const CREDENTIALS: [&str; 8] = [
    "auth_user",
    "auth_password",
    "auth_token",
    "auth_token_url",
    "auth_client_id",
    "auth_client_secret",
    "auth_scope",
    "auth_audience",
];
/// The fields whose values are never shown again.
const SECRETS: [&str; 11] = [
    "url",
    "secret",
    "token",
    "headers",
    "auth_password",
    "auth_token",
    "auth_client_secret",
    "auth_token_url",
    "private_key",
    "client_certificates",
    "client_key",
];

/// Returns whether a field may contain a secret. URLs may: those of chat services are credentials.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    SECRETS.contains(&name)
}

impl Field {
    /// Creates a field without a value.
    pub(super) fn new(name: impl Into<String>, label: impl Into<String>, kind: Kind) -> Self {
        Self {
            name: name.into(),
            label: label.into(),
            hint: String::new(),
            kind,
            value: String::new(),
            error: None,
            is_set: false,
            is_required: false,
        }
    }

    /// Sets the hint.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// Makes the field required.
    pub(super) fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    /// Returns the ids of the hint and the error, which describe the control.
    #[must_use]
    pub fn described_by(&self) -> String {
        let hint = (!self.hint.is_empty()).then(|| format!("hint-{}", self.name));
        let error = self.error.is_some().then(|| format!("error-{}", self.name));
        hint.into_iter().chain(error).collect::<Vec<_>>().join(" ")
    }

    /// Returns the parts of the hint, and whether each is code.
    #[must_use]
    pub fn hint_parts(&self) -> Vec<(bool, &str)> {
        let parts = self.hint.split('`').enumerate().map(|(at, part)| (at % 2 == 1, part));
        parts.filter(|(_, part)| !part.is_empty()).collect()
    }

    /// Returns the number of rows of a text; 0 for other kinds.
    #[must_use]
    pub fn rows(&self) -> u8 {
        if let Kind::Lines(rows) = self.kind { rows } else { 0 }
    }

    /// Returns the choices; empty for other kinds.
    #[must_use]
    pub fn choices(&self) -> &[(&'static str, String)] {
        if let Kind::Select(choices) = &self.kind { choices } else { &[] }
    }

    /// Returns the type of an `input`.
    #[must_use]
    pub fn input_type(&self) -> &'static str {
        match self.kind {
            Kind::Number => "number",
            Kind::Secret => "password",
            _ => "text",
        }
    }
}
