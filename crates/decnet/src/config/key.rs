//! A setting of the configuration.

use super::types::Read;

/// A setting: its description and the function that parses its value.
pub(crate) struct Key<T> {
    pub(crate) info: Info,
    pub(crate) read: fn(&str) -> Read<T>,
}

/// The description of a setting.
pub(crate) struct Info {
    /// The heading in the documentation.
    pub(crate) group: &'static str,
    /// The name of the environment variable.
    pub(crate) name: &'static str,
    /// The default, as text; empty if there is none or if a rule determines it.
    pub(crate) default: &'static str,
    /// The accepted syntax.
    pub(crate) form: &'static str,
    /// The effect of the setting.
    pub(crate) meaning: &'static str,
    /// Advice on when to change the value, and remarks.
    pub(crate) reason: &'static str,
    /// A section and key of the INI file outside `[decnet]`, if the setting has one.
    pub(crate) ini: Option<(&'static str, &'static str)>,
    /// The part of the value that may be shown.
    pub(crate) disclosure: Disclosure,
}

/// The part of a value that may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disclosure {
    /// The whole value.
    Whole,
    /// A URL without its password.
    WithoutPassword,
    /// Scheme, host and port of a URL.
    Host,
    /// No part of the value.
    Never,
}

/// The description of a setting without text.
pub(super) const PLAIN: Info = Info {
    group: "",
    name: "",
    default: "",
    form: "",
    meaning: "",
    reason: "",
    ini: None,
    disclosure: Disclosure::Whole,
};
