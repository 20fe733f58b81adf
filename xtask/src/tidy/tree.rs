//! The files of the repository, read once: those that git tracks, and new files that are not ignored.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// A file of the repository.
#[derive(Debug)]
pub(crate) struct File {
    /// Path relative to the root, with `/`.
    pub(crate) path: String,
    /// The text; empty if the file is not UTF-8, because no rule applies to such files.
    pub(crate) text: String,
    pub(crate) executable: bool,
}

/// Every file of the repository.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: Vec<File>,
    /// Paths of the files and of the folders that contain them.
    paths: BTreeSet<String>,
}

impl Tree {
    /// Reads the files that git tracks and those that are new and not ignored, so that a file is checked
    /// before its commit. Without git (an unpacked archive), it reads every file outside `target` and hidden
    /// folders.
    pub(crate) fn load(root: &Path) -> Result<Self> {
        let listed = if root.join(".git").exists() { listed_by_git(root)? } else { walked(root)? };
        let mut files = Vec::new();
        for path in listed {
            let full_path = root.join(&path);
            // A deleted file stays listed until the deletion is staged.
            if full_path.is_file() {
                files.push(read(path, &full_path)?);
            }
        }
        Ok(Self::new(files))
    }

    fn new(files: Vec<File>) -> Self {
        let ancestors = |file: &File| {
            let path = PathBuf::from(&file.path);
            path.ancestors().map(|dir| dir.to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        let paths = files.iter().flat_map(ancestors).collect();
        Self { files, paths }
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &File> {
        self.files.iter()
    }

    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Returns the files whose name ends in `extension`, given with its dot.
    pub(crate) fn with_extension(&self, extension: &str) -> impl Iterator<Item = &File> {
        self.files.iter().filter(move |file| file.path.ends_with(extension))
    }

    /// Returns whether `path` is a file or a folder. The empty path is the root.
    pub(crate) fn has(&self, path: &str) -> bool {
        path.is_empty() || self.paths.contains(path)
    }

    /// Returns the names of the folders directly inside `folder`.
    pub(crate) fn folders_in(&self, folder: &str) -> BTreeSet<&str> {
        let inside = self.files.iter().filter_map(|file| file.path.strip_prefix(folder)?.strip_prefix('/'));
        inside.filter_map(|path| Some(path.split_once('/')?.0)).collect()
    }

    /// Returns a tree of plain files; a file whose name ends in `+x` is executable.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(name, text): &(&str, &str)| File {
            path: name.trim_end_matches("+x").to_owned(),
            text: (*text).to_owned(),
            executable: name.ends_with("+x"),
        };
        Self::new(files.iter().map(file).collect())
    }
}

fn read(path: String, full_path: &Path) -> Result<File> {
    let bytes = std::fs::read(full_path).with_context(|| format!("cannot read {}", full_path.display()))?;
    let executable = std::fs::metadata(full_path)?.permissions().mode() & 0o111 != 0;
    Ok(File { path, text: String::from_utf8(bytes).unwrap_or_default(), executable })
}

fn listed_by_git(root: &Path) -> Result<Vec<String>> {
    let listing = Command::new("git")
        // A container often runs as another user than the owner of the clone. Listing files is harmless.
        .args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("cannot run git: install it")?;
    ensure!(listing.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listing.stderr).trim());
    let listed = String::from_utf8(listing.stdout).context("a file name is not UTF-8")?;
    Ok(listed.split_terminator('\0').map(str::to_owned).collect())
}

fn walked(root: &Path) -> Result<Vec<String>> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !path.is_dir() {
                found.push(path.strip_prefix(root)?.to_string_lossy().into_owned());
            } else if name != "target" && (!name.starts_with('.') || name == ".ci") {
                folders.push(path);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_matched_by_whole_names() {
        let tree = Tree::of(&[("src/bus/mod.rs", ""), ("src/business.rs", ""), ("README.md", "")]);
        assert!(tree.has("src/bus") && tree.has("src") && tree.has(""));
        assert!(!tree.has("bus"));
        assert_eq!(tree.folders_in("src"), BTreeSet::from(["bus"]));
    }

    #[test]
    fn archive_without_git_is_read() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["src", "target/debug", ".hidden"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
            std::fs::write(root.path().join(folder).join("a.rs"), "").unwrap();
        }
        let tree = Tree::load(root.path()).unwrap();
        assert_eq!(tree.files().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["src/a.rs"]);
    }
}
