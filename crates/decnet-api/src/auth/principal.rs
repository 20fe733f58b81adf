//! Who asks, once that is known.

use std::fmt;
use std::sync::{Arc, OnceLock};

use decnet_core::access::Scopes;

/// Who asks; an extension of each request to a guarded route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Principal {
    /// What they are known by.
    pub(crate) id: PrincipalId,
    /// What to call them in a log.
    pub(crate) name: Arc<str>,
    /// What they may do; none where DECNET's user must choose a password before anything else.
    pub(crate) scopes: Option<Scopes>,
}

/// What tells one who asks from all others. Not secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum PrincipalId {
    /// By the id of a token of ours.
    Token(Arc<str>),
    /// By the id of DECNET's user, in a session of its dashboard.
    Session(Arc<str>),
}

/// Idempotency keys are kept under this: it stays as it is.
impl fmt::Display for PrincipalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(id) => write!(f, "Token:{id}"),
            Self::Session(id) => write!(f, "Session:{id}"),
        }
    }
}

/// Who asks, for the layers around a route; an extension of every request. It is empty until a good credential was seen,
/// and says who it was whatever the answer is then, also where that was given up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asker(Arc<OnceLock<Principal>>);

impl Asker {
    /// Notes whose the credential is. A request has one.
    pub(crate) fn note(&self, principal: Principal) {
        drop(self.0.set(principal));
    }

    /// Who it is, if that is known.
    pub(crate) fn principal(&self) -> Option<&Principal> {
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_id_stays_as_it_is() {
        assert_eq!(PrincipalId::Token("a".into()).to_string(), "Token:a");
        assert_eq!(PrincipalId::Session("a".into()).to_string(), "Session:a");
    }
}
