//! Opens the catalog, or creates it for the first command that needs it.

use std::path::Path;

use anyhow::Context as _;
use decnet_store::catalog::{Catalog, Create, Error};

use crate::config::Config;

/// Opens the catalog and creates it if it does not exist.
///
/// # Errors
/// The directory or the file cannot be created or opened.
pub(crate) fn open_or_create(config: &Config) -> anyhow::Result<Catalog> {
    create_catalog_dir(config)?;
    Ok(Catalog::open(config.database.path()?, Create::IfMissing)?)
}

/// Creates the data directory if the catalog is inside it.
///
/// # Errors
/// The directory cannot be created.
pub(crate) fn create_catalog_dir(config: &Config) -> anyhow::Result<()> {
    let is_inside = config.database.path()?.starts_with(&config.data_dir);
    if is_inside { create_data_dir(&config.data_dir) } else { Ok(()) }
}

/// Opens the existing catalog.
///
/// # Errors
/// The catalog does not exist or cannot be opened.
pub(crate) fn open_existing(config: &Config) -> anyhow::Result<Catalog> {
    Ok(Catalog::open(config.database.path()?, Create::Never)?)
}

/// Opens the catalog if it exists, and returns what `read` reads from it; otherwise `None`.
///
/// # Errors
/// The catalog cannot be opened or read.
pub(crate) fn read_if_exists<T>(
    config: &Config,
    read: impl FnOnce(&Catalog) -> Result<T, Error>,
) -> anyhow::Result<Option<T>> {
    match Catalog::open(config.database.path()?, Create::Never) {
        Ok(catalog) => Ok(Some(read(&catalog)?)),
        Err(Error::Missing { .. }) => Ok(None),
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
