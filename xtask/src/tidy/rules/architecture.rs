//! ARCHITECTURE.md names every crate and every top-level folder of a crate's sources, so that readers find
//! each one in the overview.

use std::path::Path;

use crate::tidy::packages::Package;
use crate::tidy::tree::{File, Tree};
use crate::tidy::violation::Violation;

const PATH: &str = "ARCHITECTURE.md";

pub(super) fn check(tree: &Tree, packages: &[Package]) -> Vec<Violation> {
    let Some(map) = tree.file(Path::new(PATH)) else { return Vec::new() };
    packages.iter().flat_map(|package| unmapped(tree, map, package)).collect()
}

fn unmapped(tree: &Tree, map: &File, package: &Package) -> Vec<Violation> {
    let mut missing = Vec::new();
    if !mentions(&map.text, &package.name) {
        missing.push(format!("does not mention the crate {}", package.name));
    }
    let sources = package.folder().join("src");
    let folders = tree.folders_in(&sources).into_iter().filter(|folder| !mentions(&map.text, folder));
    let sources = sources.display();
    missing.extend(folders.map(|folder| format!("does not mention the folder {sources}/{folder}/")));
    missing.into_iter().map(|message| Violation::new(PATH, 1, "architecture", message)).collect()
}

/// Returns whether `text` contains `name` as a name, in code or as part of a path. The word "sender" does not
/// mention `sender/`, nor does `decnet-core` mention `decnet`.
fn mentions(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    text.match_indices(name)
        .any(|(at, _)| !text[..at].ends_with(is_part) && text[at + name.len()..].starts_with(['/', '`']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(map: &str) -> Vec<String> {
        let tree =
            Tree::of(&[(PATH, map), ("crates/decnet/src/cli/mod.rs", ""), ("crates/decnet/src/main.rs", "")]);
        let manifest = "crates/decnet/Cargo.toml".into();
        let package = Package { name: "decnet".into(), manifest, ..Package::default() };
        check(&tree, &[package]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_crate_and_folder_must_be_mentioned() {
        assert_eq!(found("`decnet` is the binary; `cli/` its commands"), Vec::<String>::new());
        assert_eq!(found("`decnet-core`, `client/`, decnet and its cli").len(), 2);
        assert!(found("crates/decnet/")[0].contains("folder crates/decnet/src/cli/"));
    }

    #[test]
    fn without_architecture_page_nothing_is_checked() {
        assert!(check(&Tree::default(), &[Package { name: "a".into(), ..Package::default() }]).is_empty());
    }
}
