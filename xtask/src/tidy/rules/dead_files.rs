//! Every Rust file is compiled: it is the root of a target, or a `mod` declares it in the folder to which the module belongs.

use std::path::Path;

use crate::tidy::packages::Package;
use crate::tidy::tree::{File, Tree};
use crate::tidy::violation::Violation;

pub(super) fn check(tree: &Tree, packages: &[Package]) -> Vec<Violation> {
    let targets = || packages.iter().flat_map(|package| &package.targets);
    let is_root = |file: &File| targets().any(|target| target.src_path == Path::new(&file.path));
    let dead = tree
        .with_extension(".rs")
        .filter(|file| !is_root(file) && !is_fuzz_target(file) && !is_declared(tree, file));
    let message = "no `mod` declares this file: declare it or delete it";
    dead.map(|file| Violation::new(&file.path, 1, "dead-file", message)).collect()
}

/// Returns whether the file belongs to a fuzz crate, which is not part of the workspace.
fn is_fuzz_target(file: &File) -> bool {
    file.path.contains("/fuzz/fuzz_targets/")
}

/// Returns whether another file in the folder declares the module: `a/b.rs` and `a/b/mod.rs` belong to the folder `a`.
fn is_declared(tree: &Tree, file: &File) -> bool {
    let module = Path::new(file.path.trim_end_matches(".rs").trim_end_matches("/mod"));
    let (Some(folder), Some(name)) = (module.parent(), module.file_name()) else { return false };
    let declaration = format!("mod {};", name.display());
    let declares = |line: &str| {
        line == declaration || line.starts_with("pub") && line.ends_with(&format!(" {declaration}"))
    };
    let mut others = tree.files_in(folder).filter(|other| other.path != file.path);
    others.any(|other| other.text.lines().any(|line| declares(line.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::packages::Target;

    fn dead(files: &[(&str, &str)]) -> Vec<String> {
        let roots = ["a/src/lib.rs", "a/src/bin/tool.rs", "a/tests/holds.rs"];
        let targets = roots.map(|root| Target { src_path: root.into() }).into();
        let found = check(&Tree::of(files), &[Package { targets, ..Package::default() }]);
        found
            .iter()
            .map(|violation| violation.to_string().split(':').next().unwrap_or("").to_owned())
            .collect()
    }

    #[test]
    fn modules_of_every_target_are_found() {
        let files = [
            ("a/src/lib.rs", "mod one; // not the end of the line\nmod one;\n  pub(crate) mod two;"),
            ("a/src/one.rs", ""),
            ("a/src/two/mod.rs", "pub mod three;"),
            ("a/src/two/three.rs", ""),
            ("a/src/bin/tool.rs", "mod part;"),
            ("a/src/bin/part.rs", ""),
            ("a/tests/holds.rs", "mod support;"),
            ("a/tests/support/mod.rs", ""),
            ("a/fuzz/fuzz_targets/parse.rs", ""),
        ];
        assert_eq!(dead(&files), Vec::<String>::new());
    }

    #[test]
    fn undeclared_files_are_dead() {
        let files = [
            ("a/src/lib.rs", "// mod left;\nmod lefter;"),
            ("a/src/left.rs", "mod left;"),
            ("a/src/two/mod.rs", ""),
            ("a/tests/support/old.rs", ""),
        ];
        assert_eq!(dead(&files), ["a/src/left.rs", "a/src/two/mod.rs", "a/tests/support/old.rs"]);
    }
}
