//! The home directory, which contains `~/.decnet`.
//!
//! Whoever can write it chooses the catalog and the bus socket. Under `sudo`, `HOME` may be that of the calling user.

use std::path::{Path, PathBuf};

use super::Inputs;
use super::layers::Layers;
use crate::passwd;
use crate::trust::Trust;

/// Our directory in a home directory.
pub(super) const OURS: &str = ".decnet";

/// A home directory that no other user can write.
pub(super) struct Home {
    path: PathBuf,
    /// Why it is not `HOME`.
    warning: Option<String>,
    /// Why there is none.
    problem: Option<String>,
}

impl Home {
    /// Returns `HOME`, else the home in `/etc/passwd`, else none.
    pub(super) fn find(inputs: &Inputs) -> Self {
        let named = inputs.environment.get("HOME").filter(|home| home.starts_with('/')).map(PathBuf::from);
        let listed = || passwd::home(&passwd::users(), inputs.trust.user()).map(PathBuf::from);
        let distrust = match named.as_deref().map(|path| (path, distrust(path, &inputs.trust))) {
            Some((path, None)) => return Self { path: path.to_owned(), warning: None, problem: None },
            Some((_, Some(why))) => format!("HOME is not used: {why}"),
            None => "HOME is not set to an absolute path".to_owned(),
        };
        match listed().filter(|path| self::distrust(path, &inputs.trust).is_none()) {
            Some(path) => {
                let instead = path.join(OURS);
                let warning = named.map(|_| format!("{distrust}; using {} instead", instead.display()));
                Self { path, warning, problem: None }
            }
            None => Self {
                path: PathBuf::from("/nonexistent"),
                warning: None,
                problem: Some(format!("{distrust}; set DECNET_DATA_DIR and DECNET_BUS_SOCKET")),
            },
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reports what is wrong, if one of these paths depends on it.
    pub(super) fn report<'a>(self, paths: impl IntoIterator<Item = Option<&'a Path>>, layers: &mut Layers) {
        if paths.into_iter().flatten().any(|path| path.starts_with(self.path.join(OURS))) {
            self.warning.into_iter().for_each(|warning| layers.warning(warning));
            self.problem.into_iter().for_each(|problem| layers.problem(problem));
        }
    }
}

/// Returns why our directory in a home must not be used.
fn distrust(home: &Path, trust: &Trust) -> Option<String> {
    trust.check_directory(&home.join(OURS)).err().map(|refused| refused.to_string())
}
