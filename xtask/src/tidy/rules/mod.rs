//! The rules, one per file. A rule is a function from the contents of the repository to its violations.

mod architecture;
mod dead_files;
mod dependencies;
mod file_length;
mod links;
mod wording;
mod words;

use super::packages::Package;
use super::tree::Tree;
use super::violation::Violation;

/// Runs every rule.
pub(super) fn check(tree: &Tree, packages: &[Package]) -> Vec<Violation> {
    [
        dependencies::check(packages, tree),
        dead_files::check(tree, packages),
        file_length::check(tree),
        links::check(tree),
        architecture::check(tree, packages),
        words::check(tree),
        wording::check(tree),
    ]
    .concat()
}
