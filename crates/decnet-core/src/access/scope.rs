//! What a credential may be used for.

use std::fmt;
use std::str::FromStr;

/// What an operation asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// See what is there: subscriptions, deliveries, attempts.
    Read,
    /// Hand in events, and nothing else.
    Publish,
    /// Everything.
    Admin,
}

/// No scope has that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a scope is read, publish or admin, not `{0}`")]
pub struct UnknownScope(String);

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Read, Self::Publish, Self::Admin];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Publish => "publish",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| UnknownScope(text.into()))
    }
}

/// What a credential grants: `admin` holds the other two, which hold only themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// These scopes; naming one twice does no harm.
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | bit(scope)))
    }

    /// Is that allowed?
    #[must_use]
    pub fn cover(self, needed: Scope) -> bool {
        self.0 & (bit(needed) | bit(Scope::Admin)) != 0
    }

    /// The scopes that were given, in the order of [`Scope::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.0 & bit(*scope) != 0)
    }
}

/// Separated by spaces, as RFC 6749 section 3.3 writes scopes.
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iter().map(Scope::as_str).collect::<Vec<_>>().join(" "))
    }
}

impl FromStr for Scopes {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Ok(Self::new(text.split_ascii_whitespace().map(str::parse).collect::<Result<Vec<_>, _>>()?))
    }
}

fn bit(scope: Scope) -> u8 {
    match scope {
        Scope::Read => 1,
        Scope::Publish => 2,
        Scope::Admin => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::Scope::{Admin, Publish, Read};
    use super::*;

    #[test]
    fn admin_covers_everything_and_the_others_only_themselves() {
        for (given, covered) in [
            (vec![Read], vec![Read]),
            (vec![Publish], vec![Publish]),
            (vec![Read, Publish], vec![Read, Publish]),
            (vec![Admin], vec![Read, Publish, Admin]),
            (vec![], vec![]),
        ] {
            let scopes = Scopes::new(given);
            for scope in Scope::ALL {
                assert_eq!(scopes.cover(scope), covered.contains(&scope), "{scopes} {scope}");
            }
            assert_eq!(scopes.to_string().parse(), Ok(scopes));
        }
        assert!("read all".parse::<Scopes>().is_err() && "Admin".parse::<Scope>().is_err());
    }
}
