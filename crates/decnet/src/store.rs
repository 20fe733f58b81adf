//! The catalog and the queue in their configured places.

use std::path::Path;

use anyhow::Context as _;
use decnet_store::catalog::{self, Catalog, Create};
use decnet_store::queue::{self, Reader};

use crate::config::Config;

/// Opens the catalog, or creates it. A catalog outside the data directory is expected to exist, so there is a warning if it is
/// created: a typo in its path must not look like an installation without subscriptions.
///
/// # Errors
/// The directory or the file cannot be created or opened.
pub(crate) fn open_or_create(config: &Config) -> anyhow::Result<Catalog> {
    let path = config.database.path()?;
    let (existed, is_inside) = (path.exists(), path.starts_with(&config.data_dir));
    if is_inside {
        create_data_dir(&config.data_dir)?;
    }
    let catalog = Catalog::open(path, Create::IfMissing)?.with_keys(config.keys.clone());
    if !existed && !is_inside {
        let path = path.display();
        tracing::warn!(%path, "DECNET_DB_URL names a file that did not exist; created an empty catalog there");
    }
    Ok(catalog)
}

/// Opens the existing catalog.
///
/// # Errors
/// The catalog does not exist or cannot be opened.
pub(crate) fn open_existing(config: &Config) -> anyhow::Result<Catalog> {
    Ok(Catalog::open(config.database.path()?, Create::Never)?.with_keys(config.keys.clone()))
}

/// Opens the catalog if it exists, and returns what `read` reads from it; otherwise `None`.
///
/// # Errors
/// The catalog cannot be opened or read.
pub(crate) fn read_if_exists<T>(
    config: &Config,
    read: impl FnOnce(&Catalog) -> Result<T, catalog::Error>,
) -> anyhow::Result<Option<T>> {
    match Catalog::open(config.database.path()?, Create::Never) {
        Ok(catalog) => Ok(Some(read(&catalog.with_keys(config.keys.clone()))?)),
        Err(catalog::Error::Missing { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Opens the queue for reading; `None` if no worker has created it yet.
///
/// # Errors
/// The queue cannot be opened.
pub(crate) fn queue_if_exists(config: &Config) -> anyhow::Result<Option<Reader>> {
    match Reader::open(&config.data_dir) {
        Ok(reader) => Ok(Some(reader)),
        Err(queue::Error::NoQueue { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Creates the data directory with mode 0700, because the catalog contains every secret.
///
/// # Errors
/// The directory cannot be created.
pub(crate) fn create_data_dir(data_dir: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let created = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir);
    created.with_context(|| format!("cannot create the data directory {}", data_dir.display()))
}
