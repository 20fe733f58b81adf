//! Every Rust file is compiled: it is the root of a target, or a `mod` declares it.

use std::collections::BTreeSet;

use syn::{Expr, ExprLit, Item, ItemMod, Lit};

use crate::tidy::packages::Package;
use crate::tidy::source::Sources;
use crate::tidy::violation::Violation;

/// Folders of a package in which cargo looks for code.
const CODE: [&str; 4] = ["src", "tests", "benches", "examples"];

pub(super) fn check(packages: &[Package], sources: &Sources) -> Vec<Violation> {
    let mut alive = BTreeSet::new();
    for root in packages.iter().flat_map(|package| &package.roots) {
        Walk { sources, alive: &mut alive }.file(root, folder_of(root));
    }
    let is_code = |path: &str| {
        packages
            .iter()
            .any(|package| CODE.iter().any(|code| path.starts_with(&join(&join(&package.dir, code), ""))))
    };
    let dead = sources.iter().filter(|(path, _)| is_code(path) && !alive.contains(*path));
    let message = "no `mod` declares this file: declare it or delete it";
    dead.map(|(path, _)| Violation::new(path, 1, "dead-file", message)).collect()
}

/// Follows `mod` declarations from file to file.
struct Walk<'a> {
    sources: &'a Sources,
    alive: &'a mut BTreeSet<String>,
}

impl Walk<'_> {
    /// Visits `path`, whose child modules are in the folder `children`.
    fn file(&mut self, path: &str, children: &str) {
        let Some(source) = self.sources.0.get(path) else { return };
        if self.alive.insert(path.to_owned()) {
            self.items(&source.syntax.items, folder_of(path), children);
        }
    }

    fn items(&mut self, items: &[Item], attribute_base: &str, children: &str) {
        let modules =
            items.iter().filter_map(|item| if let Item::Mod(module) = item { Some(module) } else { None });
        for module in modules {
            self.module(module, attribute_base, children);
        }
    }

    /// Visits a module. A `#[path]` is relative to `attribute_base`, everything else to `children`
    /// (<https://doc.rust-lang.org/reference/items/modules.html#the-path-attribute>).
    fn module(&mut self, module: &ItemMod, attribute_base: &str, children: &str) {
        let name = module.ident.to_string();
        let own = join(children, name.trim_start_matches("r#"));
        match (&module.content, path_attribute(module)) {
            (Some((_, items)), _) => self.items(items, &own, &own),
            (None, Some(path)) => {
                let path = join(attribute_base, &path);
                self.file(&path, folder_of(&path));
            }
            (None, None) => {
                self.file(&format!("{own}.rs"), &own);
                self.file(&join(&own, "mod.rs"), &own);
            }
        }
    }
}

fn path_attribute(module: &ItemMod) -> Option<String> {
    let attribute = module.attrs.iter().find(|attribute| attribute.path().is_ident("path"))?;
    match &attribute.meta.require_name_value().ok()?.value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    }
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(files: &[(&str, &str)]) -> Vec<String> {
        let roots = ["a/src/lib.rs", "a/src/bin/tool.rs", "a/tests/holds.rs"].map(str::to_owned).to_vec();
        let package = Package { name: "a".into(), dir: "a".into(), roots, ..Package::default() };
        let found = check(&[package], &Sources::of(files));
        found
            .iter()
            .map(|violation| violation.to_string().split(':').next().unwrap_or("").to_owned())
            .collect()
    }

    #[test]
    fn modules_are_followed_in_every_form() {
        let files = [
            (
                "a/src/lib.rs",
                "mod one; pub mod two; mod inline { mod deep; } #[path = \"odd/name.rs\"] mod odd;",
            ),
            ("a/src/one.rs", "mod below;"),
            ("a/src/one/below.rs", ""),
            ("a/src/two/mod.rs", "mod r#type;"),
            ("a/src/two/type.rs", ""),
            ("a/src/inline/deep.rs", ""),
            ("a/src/odd/name.rs", "mod sibling;"),
            ("a/src/odd/sibling.rs", ""),
            ("a/src/bin/tool.rs", "mod part;"),
            ("a/src/bin/part.rs", ""),
            ("a/tests/holds.rs", "mod support;"),
            ("a/tests/support/mod.rs", ""),
        ];
        assert_eq!(dead(&files), Vec::<String>::new());
    }

    #[test]
    fn undeclared_file_and_its_children_are_dead() {
        let files = [
            ("a/src/lib.rs", "// mod left;"),
            ("a/src/left.rs", "mod over;"),
            ("a/src/left/over.rs", ""),
            ("a/tests/support/old.rs", ""),
            ("a/fuzz/other_workspace.rs", ""),
        ];
        assert_eq!(dead(&files), ["a/src/left.rs", "a/src/left/over.rs", "a/tests/support/old.rs"]);
    }
}
