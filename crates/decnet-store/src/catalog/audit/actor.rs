//! Who changes something.

use std::borrow::Cow;

use decnet_runtime::accounts;
use rustix::process::getuid;
use serde::Serialize;

use crate::catalog::links;

/// Who changes something. Contains no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Actor {
    /// `token`, `decnet_user`, `local_user` or `link`.
    pub kind: Cow<'static, str>,
    /// The id of the token or of DECNET's user, or the uid; empty for the setup link.
    pub id: String,
    /// The name of the token, the user or the link; empty if a uid has no name.
    pub name: String,
}

impl Actor {
    /// Returns the owner of an API token.
    #[must_use]
    pub fn token(id: &str, name: &str) -> Self {
        Self::new("token", id, name)
    }

    /// Returns a user of DECNET, given the id and the name.
    #[must_use]
    pub fn decnet_user(id: &str, name: &str) -> Self {
        Self::new("decnet_user", id, name)
    }

    /// Returns the visitor who uses the one-time login link with this id.
    #[must_use]
    pub fn login_link(id: &str) -> Self {
        Self::new("link", id, &links::name(id))
    }

    /// Returns the visitor who uses the link that creates the first token.
    #[must_use]
    pub fn setup_link() -> Self {
        Self::new("link", "", "setup")
    }

    /// Returns the user who runs this process: the real uid. Under `sudo`, that is root.
    #[must_use]
    pub fn local_user() -> Self {
        let uid = getuid().as_raw();
        let name = accounts::users().ok().and_then(|users| accounts::name(&users, uid));
        Self::new("local_user", &uid.to_string(), &name.unwrap_or_default())
    }

    fn new(kind: &'static str, id: &str, name: &str) -> Self {
        Self { kind: kind.into(), id: id.into(), name: name.into() }
    }
}
