//! Tokens, sessions, and their pages.

use askama::Template;
use serde::Deserialize;

use crate::{Frame, Text, Time};

/// The lifetimes that the form offers, with their names.
pub const LIFETIMES: [(&str, &str); 5] =
    [("", "never"), ("1d", "in a day"), ("7d", "in a week"), ("90d", "in 90 days"), ("365d", "in a year")];

/// All tokens, as the API returns them.
#[derive(Debug, Deserialize)]
pub struct Tokens {
    /// The tokens in the order of their creation.
    pub tokens: Vec<Token>,
}

/// An API token or an unused login link, as the API returns it.
#[derive(Debug, Deserialize)]
pub struct Token {
    /// The id, which is not secret.
    pub id: Text,
    /// The name.
    pub name: Text,
    /// The scopes.
    pub scopes: Vec<String>,
    /// The scopes of the session that an unused link begins.
    pub link_to: Option<Vec<String>>,
    /// `active`, `expired` or `revoked`.
    pub state: String,
    /// When it was created.
    pub created_at: Option<Time>,
    /// When it expires.
    pub expires_at: Option<Time>,
    /// When it was last used, to within a minute.
    pub last_used_at: Option<Time>,
}

impl Token {
    /// Returns whether the token can be used.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state == "active"
    }

    /// Returns the scopes, or what an unused link leads to.
    #[must_use]
    pub fn grants(&self) -> Text {
        let text = match &self.link_to {
            Some(scopes) => format!("unused link to a session with {}", scopes.join(" ")),
            None => self.scopes.join(" "),
        };
        text.into()
    }
}

/// A new token, as the API returns it once.
#[derive(Debug, Deserialize)]
pub struct CreatedToken {
    /// The name.
    pub name: Text,
    /// The token.
    pub token: String,
    /// When it expires.
    pub expires_at: Option<Time>,
}

/// A session of the dashboard.
#[derive(Debug)]
pub struct Session {
    /// A name of the session that is not secret.
    pub handle: Text,
    /// The name of the token, or of DECNET's user.
    pub who: Text,
    /// Whether it was begun with a session of DECNET.
    pub is_of_decnet: bool,
    /// The scopes at the login.
    pub scopes: Text,
    /// The address of the login.
    pub address: Text,
    /// When it began.
    pub since: Time,
    /// The time of the last request.
    pub last_seen: Time,
    /// Whether it is the visitor's own.
    pub is_own: bool,
}

/// The tokens and the sessions.
#[derive(Template)]
#[template(path = "access.html")]
#[expect(missing_docs, reason = "the fields are those of the template")]
pub struct AccessPage {
    pub frame: Frame,
    /// Tokens that can be used.
    pub active: Vec<Token>,
    /// Expired and revoked tokens.
    pub ended: Vec<Token>,
    pub sessions: Vec<Session>,
}

impl AccessPage {
    /// Creates the page.
    #[must_use]
    pub fn new(frame: Frame, tokens: Vec<Token>, sessions: Vec<Session>) -> Self {
        let (active, ended) = tokens.into_iter().partition(Token::is_active);
        Self { frame, active, ended, sessions }
    }
}

/// A new token, shown once.
#[derive(Template)]
#[template(path = "access_token.html")]
#[expect(missing_docs, reason = "the fields are those of the template")]
pub struct TokenPage {
    pub frame: Frame,
    pub created: CreatedToken,
}

/// The confirmation of a revocation.
#[derive(Template)]
#[template(path = "access_revoke.html")]
#[expect(missing_docs, reason = "the fields are those of the template")]
pub struct RevokePage {
    pub frame: Frame,
    pub token: Token,
    /// Whether the visitor's own session uses the token.
    pub is_own: bool,
}
