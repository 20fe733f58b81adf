//! The files of the repository, read once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The hidden folders that belong to the repository.
const HIDDEN: [&str; 3] = [".cargo", ".ci", ".config"];

/// A file of the repository.
#[derive(Debug)]
pub(crate) struct File {
    /// Path relative to the root, with `/`.
    pub(crate) path: String,
    /// The text; empty if the file is not UTF-8, because no rule applies to such files.
    pub(crate) text: String,
}

/// Every file of the repository.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: Vec<File>,
    /// Paths of the files and of the folders that contain them.
    paths: BTreeSet<PathBuf>,
}

impl Tree {
    /// Reads every file outside `target`, `node_modules`, `.git` and foreign hidden folders. New files are included, so that they are checked before
    /// their commit. The repository may be an unpacked archive.
    pub(crate) fn load(root: &Path) -> Result<Self> {
        let (mut files, mut folders) = (Vec::new(), vec![root.to_path_buf()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder)? {
                let path = entry?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let is_foreign_folder = name.starts_with('.') && path.is_dir() && !HIDDEN.contains(&&*name);
                if is_foreign_folder || ["target", "node_modules", ".git"].contains(&&*name) {
                    continue;
                }
                if path.is_dir() { folders.push(path) } else { files.push(read(root, &path)?) }
            }
        }
        Ok(Self::new(files))
    }

    fn new(files: Vec<File>) -> Self {
        let ancestors =
            |file: &File| Path::new(&file.path).ancestors().map(Path::to_owned).collect::<Vec<_>>();
        let paths = files.iter().flat_map(ancestors).collect();
        Self { files, paths }
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &File> {
        self.files.iter()
    }

    pub(crate) fn file(&self, path: &Path) -> Option<&File> {
        self.files.iter().find(|file| Path::new(&file.path) == path)
    }

    /// Returns the files whose name ends in `extension`, given with its dot.
    pub(crate) fn with_extension(&self, extension: &str) -> impl Iterator<Item = &File> {
        self.files.iter().filter(move |file| file.path.ends_with(extension))
    }

    /// Returns whether `path` is a file or a folder. The empty path is the root.
    pub(crate) fn has(&self, path: &Path) -> bool {
        path == Path::new("") || self.paths.contains(path)
    }

    /// Returns the files directly inside `folder`.
    pub(crate) fn files_in(&self, folder: &Path) -> impl Iterator<Item = &File> {
        self.files.iter().filter(move |file| Path::new(&file.path).parent() == Some(folder))
    }

    /// Returns the names of the folders directly inside `folder`.
    pub(crate) fn folders_in(&self, folder: &Path) -> BTreeSet<&str> {
        let inside = self.files.iter().filter_map(|file| Path::new(&file.path).strip_prefix(folder).ok());
        inside.filter_map(|path| path.to_str()?.split_once('/')).map(|(name, _)| name).collect()
    }

    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File { path: (*path).into(), text: (*text).into() };
        Self::new(files.iter().map(file).collect())
    }
}

fn read(root: &Path, path: &Path) -> Result<File> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let path = path.strip_prefix(root)?.to_string_lossy().into_owned();
    Ok(File { path, text: String::from_utf8(bytes).unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_matched_by_whole_names() {
        let tree = Tree::of(&[("src/bus/mod.rs", ""), ("src/business.rs", ""), ("README.md", "")]);
        for path in ["src/bus", "src", ""] {
            assert!(tree.has(Path::new(path)), "{path}");
        }
        assert!(!tree.has(Path::new("bus")));
        assert_eq!(tree.folders_in(Path::new("src")), BTreeSet::from(["bus"]));
    }

    #[test]
    fn built_and_hidden_files_are_skipped() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join(".git"), "gitdir: elsewhere").unwrap();
        for folder in ["src", "target/debug", "tests/node_modules", ".hidden", ".ci"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
            std::fs::write(root.path().join(folder).join("a.rs"), "").unwrap();
        }
        let tree = Tree::load(root.path()).unwrap();
        let paths: BTreeSet<&str> = tree.files().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, BTreeSet::from([".ci/a.rs", "src/a.rs"]));
    }
}
