//! The database that contains the catalog.

use std::fmt;
use std::path::{Path, PathBuf};

use decnet_store::catalog::{CatalogUrl, CatalogUrlError};

use super::types::Read;
use crate::failure::Usage;

/// The name of the catalog file.
pub(super) const CATALOG: &str = "decnet.db";

/// The kind of the database (`DECNET_DB_TYPE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DatabaseKind {
    /// A file opened with SQLite.
    Sqlite,
    /// A MySQL server.
    Mysql,
}

/// The database that contains `webhook_subscriptions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Database {
    /// An SQLite file.
    Sqlite(PathBuf),
    /// The URL, without its password, of a server that this version does not support.
    Server(String),
}

impl Database {
    /// Reads a database URL, see [`CatalogUrl`].
    ///
    /// # Errors
    /// The text is not a database URL. The message does not repeat it because it may contain a password.
    pub(crate) fn from_url(text: &str) -> Read<Self> {
        match text.parse::<CatalogUrl>() {
            Ok(url) => Ok(Self::Sqlite(url.path().to_owned())),
            Err(CatalogUrlError::Unsupported(_)) => Ok(Self::Server(redact_url(text))),
            Err(error) => Err(format!("cannot be used: {error}")),
        }
    }

    /// Returns the file to open.
    ///
    /// # Errors
    /// The catalog is on a server. Only commands that open the catalog fail; the configuration as a whole is valid.
    pub(crate) fn path(&self) -> Result<&Path, Usage> {
        match self {
            Self::Sqlite(path) => Ok(path),
            Self::Server(url) => Err(Usage::new(format!(
                "the catalog at {url} cannot be opened: this version supports SQLite only; set \
                 DECNET_DB_URL=sqlite:////path/to/decnet.db"
            ))),
        }
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:///{}", path.display()),
            Self::Server(url) => f.write_str(url),
        }
    }
}

/// Returns a database URL without its password and query.
pub(crate) fn redact_url(text: &str) -> String {
    let text = text.split('?').next().unwrap_or_default();
    let Some((scheme, rest)) = text.split_once("://") else { return "[secret]".into() };
    let Some((login, place)) = rest.rsplit_once('@') else { return text.into() };
    match login.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:[secret]@{place}"),
        None => format!("{scheme}://{login}@{place}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlalchemy_urls_are_accepted() {
        let path = |text| Database::from_url(text).map(|found| found.path().unwrap().to_owned());
        assert_eq!(path("sqlite:////var/lib/decnet.db"), Ok("/var/lib/decnet.db".into()));
        assert_eq!(path("sqlite+aiosqlite:///decnet.db?timeout=3"), Ok("decnet.db".into()));
        for bad in ["sqlite://", "sqlite:///:memory:", "oracle://x"] {
            assert!(Database::from_url(bad).is_err(), "{bad}");
        }
        let server = Database::from_url("mysql+asyncmy://u:p@ss@db:3306/decnet?ssl=x").unwrap();
        assert_eq!(server.to_string(), "mysql+asyncmy://u:[secret]@db:3306/decnet");
        assert!(server.path().unwrap_err().to_string().contains("SQLite only"));
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(redact_url("postgres://user@db/x"), "postgres://user@db/x");
        assert_eq!(redact_url("postgres://user:pw@db/x?password=pw"), "postgres://user:[secret]@db/x");
        assert_eq!(redact_url("hunter2"), "[secret]");
    }
}
