//! The workspace with its crates and their dependencies, as reported by cargo.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::build::cargo;

/// A cargo workspace.
#[derive(Deserialize)]
pub(crate) struct Workspace {
    #[serde(rename = "workspace_root")]
    pub(crate) root: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// A crate of the workspace. Its paths are relative to the root of the workspace.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    #[serde(rename = "manifest_path")]
    pub(crate) manifest: PathBuf,
    pub(crate) targets: Vec<Target>,
    pub(crate) dependencies: Vec<Dependency>,
}

/// A library, program, test, benchmark or example.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    /// The root file, such as `src/lib.rs`.
    pub(crate) src_path: PathBuf,
}

/// A direct dependency.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) optional: bool,
    pub(crate) uses_default_features: bool,
    /// `None` in production code, otherwise `dev` or `build`.
    pub(crate) kind: Option<String>,
}

impl Workspace {
    /// Loads the workspace around a directory, by default the current one, without network access.
    pub(crate) fn load(directory: Option<&Path>) -> Result<Self> {
        let mut cargo = cargo();
        cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
        cargo.current_dir(directory.unwrap_or(Path::new(".")));
        let output = cargo.output().context("cannot run cargo")?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "cargo metadata: {}", stderr.trim());
        let mut workspace: Self = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
        for package in &mut workspace.packages {
            for path in package.targets.iter_mut().map(|target| &mut target.src_path) {
                *path = path.strip_prefix(&workspace.root)?.to_owned();
            }
            package.manifest = package.manifest.strip_prefix(&workspace.root)?.to_owned();
        }
        Ok(workspace)
    }
}

impl Package {
    /// Returns the folder of the crate.
    pub(crate) fn folder(&self) -> &Path {
        self.manifest.parent().unwrap_or(Path::new(""))
    }
}

impl Dependency {
    pub(crate) fn is_for_tests(&self) -> bool {
        self.kind.as_deref() == Some("dev")
    }
}
