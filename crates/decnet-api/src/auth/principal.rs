//! The authenticated requester.

use std::fmt;
use std::sync::{Arc, OnceLock};

use decnet_core::access::Scopes;
use decnet_store::catalog::Actor;

/// The authenticated requester; an extension of each request to a guarded route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Principal {
    /// The identity for rate limits and idempotency keys.
    pub(crate) id: PrincipalId,
    /// The name in logs.
    pub(crate) name: Arc<str>,
    /// The scopes; `None` if DECNET's user must change the password first.
    pub(crate) scopes: Option<Scopes>,
}

impl Principal {
    /// Returns the principal in the audit list.
    pub(crate) fn actor(&self) -> Actor {
        match &self.id {
            PrincipalId::Token(id) => Actor::token(id, &self.name),
            PrincipalId::Session(id) => Actor::decnet_user(id, &self.name),
        }
    }
}

/// The identity of a principal. Not secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum PrincipalId {
    /// The id of a token of ours.
    Token(Arc<str>),
    /// The id of DECNET's user, in a session of its dashboard.
    Session(Arc<str>),
}

/// Writes the scope under which idempotency keys are stored: the format must not change.
impl fmt::Display for PrincipalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(id) => write!(f, "Token:{id}"),
            Self::Session(id) => write!(f, "Session:{id}"),
        }
    }
}

/// The requester, for the middleware around a route; an extension of every request. Empty until a valid credential was found;
/// then set even if the request is rejected or times out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Requester(Arc<OnceLock<Principal>>);

impl Requester {
    /// Records the owner of the credential. Only the first call has an effect.
    pub(crate) fn set(&self, principal: Principal) {
        drop(self.0.set(principal));
    }

    /// Returns the requester, if authenticated.
    pub(crate) fn principal(&self) -> Option<&Principal> {
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_an_id_is_stable() {
        assert_eq!(PrincipalId::Token("a".into()).to_string(), "Token:a");
        assert_eq!(PrincipalId::Session("a".into()).to_string(), "Session:a");
    }
}
