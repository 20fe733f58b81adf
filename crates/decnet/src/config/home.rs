//! The home directory, which contains `~/.decnet`.
//!
//! Anyone who can write to it controls the catalog and the bus socket. Under `sudo`, `HOME` may be that of the calling user.

use std::path::{Path, PathBuf};

use decnet_runtime::accounts;

use super::Inputs;
use super::layers::Layers;
use crate::trust::Trust;

/// The name of this program's directory in a home directory.
pub(super) const DIRECTORY_NAME: &str = ".decnet";

/// A home directory to which no other user can write.
#[derive(Default)]
pub(super) struct Home {
    path: PathBuf,
    /// A warning if `HOME` was not used.
    warning: Option<String>,
    /// A problem if there is no usable home.
    problem: Option<String>,
}

impl Home {
    /// Finds the home: `HOME`, else the entry in `/etc/passwd`. If neither can be trusted, the result contains a problem.
    pub(super) fn find(inputs: &Inputs) -> Self {
        let named = inputs.environment.get("HOME").filter(|home| home.starts_with('/')).map(PathBuf::from);
        let listed = || accounts::home(&accounts::users().ok()?, inputs.trust.user()).map(PathBuf::from);
        let distrust = match named.as_deref().map(|path| (path, distrust(path, &inputs.trust))) {
            Some((path, None)) => return Self { path: path.to_owned(), ..Self::default() },
            Some((_, Some(why))) => format!("HOME is not used: {why}"),
            None => "HOME is not set to an absolute path".to_owned(),
        };
        match listed().filter(|path| self::distrust(path, &inputs.trust).is_none()) {
            Some(path) => {
                let instead = path.join(DIRECTORY_NAME);
                let warning = named.map(|_| format!("{distrust}; using {} instead", instead.display()));
                Self { path, warning, ..Self::default() }
            }
            None => {
                let problem = Some(format!("{distrust}; set DECNET_DATA_DIR and DECNET_BUS_SOCKET"));
                Self { path: "/nonexistent".into(), problem, ..Self::default() }
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reports the warning or problem if one of these paths is in the home.
    pub(super) fn report<'a>(self, paths: impl IntoIterator<Item = Option<&'a Path>>, layers: &mut Layers) {
        if paths.into_iter().flatten().any(|path| path.starts_with(self.path.join(DIRECTORY_NAME))) {
            layers.warnings.extend(self.warning);
            layers.problems.extend(self.problem);
        }
    }
}

/// Returns the reason why the directory in this home must not be used, if any.
fn distrust(home: &Path, trust: &Trust) -> Option<String> {
    trust.check_directory(&home.join(DIRECTORY_NAME)).err().map(|refused| refused.to_string())
}
