//! Opening the catalog for a command that may be the first to need it.

use std::path::Path;

use anyhow::Context as _;
use decnet_store::catalog::{Catalog, Create};

use crate::config::Config;
use crate::context::Context;

/// The catalog, made where there is none yet.
///
/// # Errors
/// A directory or a file that cannot be made or used.
pub(crate) fn open_or_make(context: &Context) -> anyhow::Result<Catalog> {
    make_place(&context.config)?;
    Ok(Catalog::open(context.config.database.path()?, Create::IfMissing)?)
}

/// Makes the data directory, where the catalog is to be in it.
///
/// # Errors
/// A directory that cannot be made.
pub(crate) fn make_place(config: &Config) -> anyhow::Result<()> {
    let is_inside = config.database.path()?.starts_with(&config.data_dir);
    if is_inside { make_data_dir(&config.data_dir) } else { Ok(()) }
}

/// The catalog that is there.
///
/// # Errors
/// None, or one that cannot be used.
pub(crate) fn existing(context: &Context) -> anyhow::Result<Catalog> {
    Ok(Catalog::open(context.config.database.path()?, Create::Never)?)
}

/// Makes the data directory. Only its owner may look into it: the catalog holds every secret.
///
/// # Errors
/// A directory that cannot be made.
pub(crate) fn make_data_dir(data_dir: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir);
    made.with_context(|| format!("the data directory {} cannot be made", data_dir.display()))
}
