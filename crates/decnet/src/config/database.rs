//! Which database holds the catalog.

use std::fmt;
use std::path::{Path, PathBuf};

use super::types::Read;

/// `DECNET_DB_TYPE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DatabaseKind {
    /// A file.
    Sqlite,
    /// A server.
    Mysql,
}

impl DatabaseKind {
    pub(crate) fn read(text: &str) -> Read<Self> {
        match text.to_ascii_lowercase().as_str() {
            "sqlite" => Ok(Self::Sqlite),
            "mysql" => Ok(Self::Mysql),
            _ => Err(format!("is sqlite or mysql, not `{text}`")),
        }
    }
}

/// Where `webhook_subscriptions` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Database {
    /// In this file.
    Sqlite(PathBuf),
    /// On a server that this version cannot talk to: its address, without a password.
    Server(String),
}

/// The catalog is on a server.
#[derive(Debug, thiserror::Error)]
#[error(
    "the catalog at {0} cannot be opened: this version opens SQLite only; set DECNET_DB_URL=sqlite:////path/to/decnet.db"
)]
pub(crate) struct UnsupportedDatabase(String);

impl Database {
    /// Reads a database URL in SQLAlchemy's spelling: `sqlite:///` and a path, so that an absolute one has
    /// four slashes; `+driver` after the scheme is of no meaning here.
    ///
    /// # Errors
    /// What is no such URL; the text never repeats it, for it may hold a password.
    pub(crate) fn from_url(text: &str) -> Read<Self> {
        let form = "is a URL such as sqlite:////var/lib/decnet/decnet.db";
        let (scheme, rest) = text.split_once("://").ok_or(form)?;
        match scheme.split('+').next().unwrap_or_default() {
            "sqlite" => {
                let path = rest.strip_prefix('/').unwrap_or_default();
                let path = path.split('?').next().unwrap_or_default();
                let usable = !path.is_empty() && path != ":memory:";
                usable.then(|| Self::Sqlite(path.into())).ok_or_else(|| format!("{form}: it names no file"))
            }
            "postgres" | "postgresql" | "mysql" | "mariadb" => Ok(Self::Server(redact_url(text))),
            other => Err(format!("{form}: `{other}` is no database that we know")),
        }
    }

    /// The file to open.
    ///
    /// # Errors
    /// A catalog on a server.
    pub(crate) fn path(&self) -> Result<&Path, UnsupportedDatabase> {
        match self {
            Self::Sqlite(path) => Ok(path),
            Self::Server(url) => Err(UnsupportedDatabase(url.clone())),
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

/// A database URL without its password and query.
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
    fn urls_as_sqlalchemy_spells_them() {
        let path = |text| Database::from_url(text).map(|found| found.path().unwrap().to_owned());
        assert_eq!(path("sqlite:////var/lib/decnet.db"), Ok("/var/lib/decnet.db".into()));
        assert_eq!(path("sqlite+aiosqlite:///decnet.db?timeout=3"), Ok("decnet.db".into()));
        for bad in ["sqlite://", "sqlite:///:memory:", "decnet.db", "oracle://x"] {
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
