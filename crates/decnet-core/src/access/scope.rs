//! The scopes of a credential.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// The permission that an operation requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The permission to read subscriptions, deliveries and attempts.
    Read,
    /// The permission to submit events.
    Publish,
    /// The permission for all operations.
    Admin,
}

/// A text that is not the name of a [`Scope`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a scope; use read, publish or admin")]
pub struct ParseScopeError(String);

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Read, Self::Publish, Self::Admin];

    /// Returns the name of the scope.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Publish => "publish",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Scope {
    type Err = ParseScopeError;

    fn from_str(text: &str) -> Result<Self, ParseScopeError> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| ParseScopeError(text.into()))
    }
}

/// The scopes that a credential grants. `admin` includes the other scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// Creates a set of scopes; duplicates are allowed.
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | bit(scope)))
    }

    /// Returns whether the scopes include `needed`, directly or through `admin`.
    #[must_use]
    pub fn permit(self, needed: Scope) -> bool {
        self.0 & (bit(needed) | bit(Scope::Admin)) != 0
    }

    /// Returns the granted scopes in the order of [`Scope::ALL`], without those that `admin` implies.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.0 & bit(*scope) != 0)
    }
}

/// Formats the scopes separated by spaces (RFC 6749 section 3.3).
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iter().map(Scope::as_str).collect::<Vec<_>>().join(" "))
    }
}

/// Serializes as the list of the scopes' names.
impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Scope::as_str))
    }
}

impl FromStr for Scopes {
    type Err = ParseScopeError;

    fn from_str(text: &str) -> Result<Self, ParseScopeError> {
        Ok(Self::new(text.split_ascii_whitespace().map(str::parse).collect::<Result<Vec<_>, _>>()?))
    }
}

fn bit(scope: Scope) -> u8 {
    1 << scope as u8
}

#[cfg(test)]
mod tests {
    use super::Scope::{Admin, Publish, Read};
    use super::*;

    #[test]
    fn admin_includes_all_scopes_and_others_only_themselves() {
        for (given, permitted) in [
            (vec![Read], vec![Read]),
            (vec![Publish], vec![Publish]),
            (vec![Read, Publish], vec![Read, Publish]),
            (vec![Admin], vec![Read, Publish, Admin]),
            (vec![], vec![]),
        ] {
            let scopes = Scopes::new(given);
            for scope in Scope::ALL {
                assert_eq!(scopes.permit(scope), permitted.contains(&scope), "{scopes} {scope:?}");
            }
            assert_eq!(scopes.to_string().parse(), Ok(scopes));
        }
        assert!("read all".parse::<Scopes>().is_err() && "Admin".parse::<Scope>().is_err());
    }
}
