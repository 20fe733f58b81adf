//! The crates of the workspace and their dependencies, as reported by cargo.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::build::cargo;

/// A crate of the workspace.
#[derive(Debug, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// The crate's folder, relative to the root.
    pub(crate) dir: String,
    /// Root files of the targets (`src/lib.rs`, `tests/*.rs`, …), relative to the root.
    pub(crate) roots: Vec<String>,
    pub(crate) dependencies: Vec<Dependency>,
}

/// A direct dependency, with the workspace's features merged in.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) features: Vec<String>,
    #[serde(default)]
    pub(crate) optional: bool,
    #[serde(default)]
    pub(crate) uses_default_features: bool,
    /// `None` in production code, otherwise `dev` or `build`.
    pub(crate) kind: Option<String>,
}

impl Dependency {
    pub(crate) fn is_for_tests(&self) -> bool {
        self.kind.as_deref() == Some("dev")
    }

    #[cfg(test)]
    pub(crate) fn of(name: &str, kind: Option<&str>, features: &[&str]) -> Self {
        let features = features.iter().map(|feature| (*feature).to_owned()).collect();
        let (name, kind) = (name.to_owned(), kind.map(str::to_owned));
        Self { name, features, optional: false, uses_default_features: false, kind }
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<PackageMetadata>,
    workspace_root: String,
}

#[derive(Deserialize)]
struct PackageMetadata {
    name: String,
    manifest_path: String,
    targets: Vec<Target>,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Target {
    src_path: String,
}

/// Loads the packages from cargo, without network access and without resolving versions.
pub(crate) fn load(root: &Path) -> Result<Vec<Package>> {
    let output = cargo()
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("cannot run cargo")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let Metadata { packages, workspace_root } = metadata;
    Ok(packages.into_iter().map(|metadata| package(metadata, &workspace_root)).collect())
}

fn package(metadata: PackageMetadata, root: &str) -> Package {
    let relative = |path: &str| path.strip_prefix(root).unwrap_or(path).trim_start_matches('/').to_owned();
    let manifest = relative(&metadata.manifest_path);
    Package {
        name: metadata.name,
        dir: manifest.trim_end_matches("Cargo.toml").trim_end_matches('/').to_owned(),
        roots: metadata.targets.iter().map(|target| relative(&target.src_path)).collect(),
        dependencies: metadata.dependencies,
    }
}
