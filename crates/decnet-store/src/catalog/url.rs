//! The location of the catalog in the format of `DECNET_DB_URL`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The location of a catalog, which is a SQLite file.
///
/// Accepts a path, and URLs as SQLAlchemy does (its documentation, "Database URLs"): `sqlite:///relative.db` and
/// `sqlite:////absolute.db`, with or without a driver as in `sqlite+aiosqlite:///…`. Options after `?` are ignored. Rejects
/// URLs of other databases, which may contain a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogUrl(PathBuf);

/// The reason why a text is not the location of a catalog. Contains only the URL's scheme, since the rest may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogUrlError {
    /// The text is empty.
    #[error("the URL of the catalog is empty; write sqlite:////absolute/path/decnet.db")]
    Empty,
    /// DECNET supports this kind of database, but this program does not.
    #[error("{0} is not supported; use sqlite, as in sqlite:////absolute/path/decnet.db")]
    Unsupported(&'static str),
    /// The scheme is unknown.
    #[error("`{0}` is not a supported database; use sqlite, as in sqlite:////absolute/path/decnet.db")]
    Scheme(Box<str>),
    /// The number of slashes is not three or four.
    #[error("a sqlite URL has three slashes before a relative path and four before an absolute path")]
    Slashes,
    /// The URL is that of an in-memory database.
    #[error("an in-memory database cannot be shared between processes; write the path of a file")]
    Memory,
    /// The text is a `file:` URI.
    #[error("`file:` URIs are not supported; write the path")]
    FileUri,
}

impl CatalogUrl {
    /// Returns the path of the file. A relative path is relative to the working directory.
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

/// Returns the path of a URL if its scheme is `sqlite`, with or without a driver.
fn sqlite_path<'a>(scheme: &str, rest: &'a str) -> Result<&'a str, CatalogUrlError> {
    let scheme = scheme.to_ascii_lowercase();
    let (dialect, _driver) = scheme.split_once('+').unwrap_or((&scheme, ""));
    match dialect {
        "sqlite" => {}
        "postgres" | "postgresql" => return Err(CatalogUrlError::Unsupported("PostgreSQL")),
        "mysql" | "mariadb" => return Err(CatalogUrlError::Unsupported("MySQL")),
        other => return Err(CatalogUrlError::Scheme(other.into())),
    }
    let path = rest.split_once('?').map_or(rest, |(path, _options)| path);
    match path.strip_prefix('/') {
        Some("") => Err(CatalogUrlError::Memory),
        Some(path) => Ok(path),
        None if path.is_empty() => Err(CatalogUrlError::Memory),
        None => Err(CatalogUrlError::Slashes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> String {
        text.parse::<CatalogUrl>().unwrap().path().to_str().unwrap().to_owned()
    }

    fn error(text: &str) -> CatalogUrlError {
        text.parse::<CatalogUrl>().unwrap_err()
    }

    #[test]
    fn three_slashes_are_relative_and_four_are_absolute() {
        assert_eq!(path("sqlite:///decnet.db"), "decnet.db");
        assert_eq!(path("sqlite:////var/lib/decnet/decnet.db"), "/var/lib/decnet/decnet.db");
        assert_eq!(path("sqlite+aiosqlite:///./a b.db?timeout=30"), "./a b.db");
        assert_eq!(path("SQLITE+pysqlite:////a.db?"), "/a.db");
        assert_eq!(path(" sqlite:////a.db\n"), "/a.db");
    }

    #[test]
    fn path_of_a_url_is_used_unchanged() {
        assert_eq!(path("/opt/decnet/decnet.db"), "/opt/decnet/decnet.db");
        assert_eq!(path("what?.db"), "what?.db");
        assert_eq!(path("./odd/a://b.db"), "./odd/a://b.db");
    }

    #[test]
    fn displayed_url_can_be_parsed() {
        for text in ["sqlite:///decnet.db", "sqlite:////a/b.db"] {
            assert_eq!(text.parse::<CatalogUrl>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn error_does_not_contain_password() {
        for url in [
            "postgres://decnet:hunter2@db/decnet",
            "postgresql+asyncpg://decnet:hunter2@db/decnet",
            "mysql://decnet:hunter2@db:3306/decnet",
            "mysql+asyncmy://decnet:hunter2@db/decnet",
            "oracle://decnet:hunter2@db",
            "sqlite://hunter2@host",
        ] {
            let error = error(url);
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
        assert_eq!(error("mysql+asyncmy://u:p@h/d"), CatalogUrlError::Unsupported("MySQL"));
        assert_eq!(error("postgres://h/d"), CatalogUrlError::Unsupported("PostgreSQL"));
    }

    #[test]
    fn url_without_file_is_rejected() {
        assert_eq!(error("  "), CatalogUrlError::Empty);
        for memory in ["sqlite://", "sqlite:///", "sqlite:///:memory:", ":memory:", "sqlite:///?a=b"] {
            assert_eq!(error(memory), CatalogUrlError::Memory, "{memory}");
        }
        assert_eq!(error("sqlite://decnet.db"), CatalogUrlError::Slashes);
        assert_eq!(error("sqlite:decnet.db"), CatalogUrlError::Slashes);
        assert_eq!(error("sqlite:///file:a.db?uri=true"), CatalogUrlError::FileUri);
    }
}
