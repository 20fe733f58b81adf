//! What every page has.

use crate::Text;

/// The sections of the navigation: their paths and names.
pub(crate) const SECTIONS: [(&str, &str); 7] = [
    ("/", "Overview"),
    ("/subscriptions", "Subscriptions"),
    ("/deliveries", "Deliveries"),
    ("/events", "Events"),
    ("/failures", "Failures"),
    ("/explain", "Explain"),
    ("/access", "Access"),
];

/// The parts of a page around its content.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// The nonce of the response's content security policy.
    pub nonce: String,
    /// The path and the query of the page; the page refreshes itself from there.
    pub url: String,
    /// The name of the credential of the session; empty without a session.
    pub who: Text,
    /// The token that each form of the session must send back.
    pub csrf: String,
    /// Whether the session may change something; other sessions see no buttons.
    pub can_change: bool,
    /// The result of the last action, shown once.
    pub notice: Option<Notice>,
    /// The version of the program.
    pub version: &'static str,
}

/// The result of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What happened, and what to do.
    pub text: Text,
    /// Whether the action failed.
    pub is_error: bool,
}

impl Frame {
    /// Returns whether the page belongs to a section of the navigation.
    #[must_use]
    pub fn is_in(&self, section: &str) -> bool {
        let path = self.url.split('?').next().unwrap_or_default();
        let rest = path.strip_prefix(section);
        path == section || (section != "/" && rest.is_some_and(|rest| rest.starts_with('/')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_contains_the_pages_below_it() {
        let at = |url: &str| Frame { url: url.into(), ..Frame::default() };
        assert!(
            at("/deliveries/1.0").is_in("/deliveries") && at("/deliveries?state=dead").is_in("/deliveries")
        );
        assert!(
            at("/").is_in("/") && !at("/deliveries").is_in("/") && !at("/deliveriesx").is_in("/deliveries")
        );
    }
}
