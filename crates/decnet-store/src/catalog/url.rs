//! Where the catalog is, as `DECNET_DB_URL` spells it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A catalog's place: today a SQLite file.
///
/// Reads SQLAlchemy's spellings (its documentation, "Database URLs"): `sqlite:///relative.db`,
/// `sqlite:////absolute.db`, with or without a driver as in `sqlite+aiosqlite:///…`, options after `?`
/// ignored; and a plain path. It holds no password: the URLs that carry one are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogUrl(PathBuf);

/// Why a text names no catalog. Never shows what follows the scheme, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogUrlError {
    /// Nothing at all.
    #[error("the catalog's URL is empty; write sqlite:////absolute/path/decnet.db")]
    Empty,
    /// A server that DECNET can use and this build cannot.
    #[error("{0} is not supported by this build yet; use sqlite, as in sqlite:////absolute/path/decnet.db")]
    Unsupported(&'static str),
    /// No database that DECNET could use either.
    #[error("`{0}` is no kind of database; use sqlite, as in sqlite:////absolute/path/decnet.db")]
    Scheme(Box<str>),
    /// SQLite has neither host nor password.
    #[error("a sqlite URL has three slashes before a relative path, four before an absolute one")]
    Slashes,
    /// A database that no other process could see.
    #[error("an in-memory database cannot be shared between processes; name a file")]
    Memory,
    /// A path in SQLite's own URI form.
    #[error("write the path itself, not as `file:…`")]
    FileUri,
}

impl CatalogUrl {
    /// The file, relative to the working directory if it is relative.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl From<PathBuf> for CatalogUrl {
    fn from(path: PathBuf) -> Self {
        Self(path)
    }
}

impl FromStr for CatalogUrl {
    type Err = CatalogUrlError;

    fn from_str(text: &str) -> Result<Self, CatalogUrlError> {
        let text = text.trim();
        let path = match text.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => sqlite_path(scheme, rest)?,
            _ if text.starts_with("sqlite:") => return Err(CatalogUrlError::Slashes),
            _ => text,
        };
        match path {
            "" => Err(CatalogUrlError::Empty),
            ":memory:" => Err(CatalogUrlError::Memory),
            path if path.starts_with("file:") => Err(CatalogUrlError::FileUri),
            path => Ok(Self(path.into())),
        }
    }
}

impl fmt::Display for CatalogUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sqlite:///{}", self.0.display())
    }
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
}

/// The path of a URL, if its scheme is SQLite's with any driver.
fn sqlite_path<'a>(scheme: &str, rest: &'a str) -> Result<&'a str, CatalogUrlError> {
    let scheme = scheme.to_ascii_lowercase();
    let (dialect, _driver) = scheme.split_once('+').unwrap_or((&scheme, ""));
    match dialect {
        "sqlite" => {}
        "postgres" | "postgresql" => return Err(CatalogUrlError::Unsupported("PostgreSQL")),
        "mysql" | "mariadb" => return Err(CatalogUrlError::Unsupported("MySQL")),
        other => return Err(CatalogUrlError::Scheme(other.into())),
    }
    let place = rest.split_once('?').map_or(rest, |(place, _options)| place);
    match place.strip_prefix('/') {
        Some("") => Err(CatalogUrlError::Memory),
        Some(path) => Ok(path),
        None if place.is_empty() => Err(CatalogUrlError::Memory),
        None => Err(CatalogUrlError::Slashes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> String {
        text.parse::<CatalogUrl>().unwrap().path().to_str().unwrap().to_owned()
    }

    fn refusal(text: &str) -> CatalogUrlError {
        text.parse::<CatalogUrl>().unwrap_err()
    }

    #[test]
    fn three_slashes_are_relative_and_four_absolute() {
        assert_eq!(path("sqlite:///decnet.db"), "decnet.db");
        assert_eq!(path("sqlite:////var/lib/decnet/decnet.db"), "/var/lib/decnet/decnet.db");
        assert_eq!(path("sqlite+aiosqlite:///./a b.db?timeout=30"), "./a b.db");
        assert_eq!(path("SQLITE+pysqlite:////a.db?"), "/a.db");
        assert_eq!(path(" sqlite:////a.db\n"), "/a.db");
    }

    #[test]
    fn a_plain_path_stands_for_itself() {
        assert_eq!(path("/opt/decnet/decnet.db"), "/opt/decnet/decnet.db");
        assert_eq!(path("what?.db"), "what?.db");
        assert_eq!(path("./odd/a://b.db"), "./odd/a://b.db");
    }

    #[test]
    fn what_is_shown_reads_back() {
        for text in ["sqlite:///decnet.db", "sqlite:////a/b.db"] {
            assert_eq!(text.parse::<CatalogUrl>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn servers_are_refused_without_their_password() {
        for url in [
            "postgres://decnet:hunter2@db/decnet",
            "postgresql+asyncpg://decnet:hunter2@db/decnet",
            "mysql://decnet:hunter2@db:3306/decnet",
            "mysql+asyncmy://decnet:hunter2@db/decnet",
            "oracle://decnet:hunter2@db",
            "sqlite://hunter2@host",
        ] {
            let error = refusal(url);
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
        assert_eq!(refusal("mysql+asyncmy://u:p@h/d"), CatalogUrlError::Unsupported("MySQL"));
        assert_eq!(refusal("postgres://h/d"), CatalogUrlError::Unsupported("PostgreSQL"));
    }

    #[test]
    fn what_names_no_file_is_refused() {
        assert_eq!(refusal("  "), CatalogUrlError::Empty);
        for memory in ["sqlite://", "sqlite:///", "sqlite:///:memory:", ":memory:", "sqlite:///?a=b"] {
            assert_eq!(refusal(memory), CatalogUrlError::Memory, "{memory}");
        }
        assert_eq!(refusal("sqlite://decnet.db"), CatalogUrlError::Slashes);
        assert_eq!(refusal("sqlite:decnet.db"), CatalogUrlError::Slashes);
        assert_eq!(refusal("sqlite:///file:a.db?uri=true"), CatalogUrlError::FileUri);
    }
}
