//! Selection of the catalog file if no setting names it.
//!
//! DECNET's file is always `decnet.db` in its installation directory, where it is started. A command that is started there uses
//! that file unless the data directory has a catalog. Creating a second, empty catalog would silently ignore all subscriptions.

use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use decnet_store::catalog::{Catalog, Create, Error};

use super::database::{CATALOG, Database};
use super::{Found, Inputs, keys, relative_problem};
use crate::trust::Given;

impl Found {
    /// Selects the catalog file, for a command that opens it.
    ///
    /// A file in the working directory that another user could have put there is a configuration problem. Ignoring it could
    /// create an empty catalog next to the intended catalog.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn select_catalog(&mut self, inputs: &Inputs) -> anyhow::Result<()> {
        let Database::Sqlite(path) = &self.config.database else { return Ok(()) };
        if !self.config.is_database_default {
            let name = keys::DB_URL.info.name;
            let source =
                self.settings.iter().find(|setting| setting.name == name).map_or("", |found| &*found.source);
            let check = |path: &Path| self.trust.check_file(&inputs.working_dir.join(path));
            self.problems.extend(relative_problem(name, source, path, check));
            return Ok(());
        }
        let (configured, local) = (path.clone(), inputs.working_dir.join(CATALOG));
        let examined = |path: &Path, found: io::Result<Option<Metadata>>| {
            found.with_context(|| format!("{} cannot be examined", path.display()))
        };
        let local_metadata = match metadata(&local) {
            // The user cannot use anything in a working directory without search permission.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => None,
            found => examined(&local, found)?,
        };
        let Some(local_metadata) = local_metadata else { return Ok(()) };
        match examined(&configured, metadata(&configured))? {
            None => self.adopt(local),
            Some(found) if is_same(&found, &local_metadata) => Ok(()),
            Some(_) => {
                self.warnings.push(format!(
                    "there are two catalogs: {} is used, and {} in the working directory is not; set DECNET_DB_URL to \
                     choose a catalog",
                    configured.display(),
                    local.display()
                ));
                Ok(())
            }
        }
    }

    /// Uses a file in the working directory as the catalog, if the file is a catalog.
    fn adopt(&mut self, path: PathBuf) -> anyhow::Result<()> {
        let shown = path.display();
        if let Err(refused) = self.trust.open(&path, Given::Found) {
            self.problems.push(format!(
                "{shown} may be DECNET's catalog but cannot be used: {refused}; set DECNET_DB_URL to \
                 choose a catalog"
            ));
            return Ok(());
        }
        match Catalog::open(&path, Create::Never) {
            Ok(_) => {
                tracing::info!(
                    "using {shown} in the working directory as the catalog, since the data directory has none; set \
                     DECNET_DB_URL to use another catalog"
                );
                self.show_catalog(&path);
                self.config.database = Database::Sqlite(path);
            }
            Err(Error::NoTable { .. } | Error::NotADatabase { .. }) => self.warnings.push(format!(
                "{shown} in the working directory is not used: it has no table webhook_subscriptions; if it is DECNET's, \
                 start DECNET once so that it creates its tables"
            )),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Updates the listed settings to show the selected file.
    fn show_catalog(&mut self, path: &Path) {
        if let Some(setting) = self.settings.iter_mut().find(|setting| setting.name == keys::DB_URL.info.name)
        {
            setting.value = Database::Sqlite(path.to_owned()).to_string();
            setting.source = "working directory".into();
        }
    }
}

/// Returns the metadata of a path, or `None` if it does not exist.
fn metadata(path: &Path) -> io::Result<Option<Metadata>> {
    // A dangling link also exists.
    match path.metadata().or_else(|_| path.symlink_metadata()) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}
