//! The rules, one per file. A rule is a function from the contents of the repository to its violations.

mod architecture;
mod dead_files;
mod dependencies;
mod file_length;
mod links;
mod shell;
mod wording;
mod words;

use super::packages::Package;
use super::source::Sources;
use super::tree::Tree;
use super::violation::Violation;

/// Runs every rule.
pub(super) fn check(tree: &Tree, packages: &[Package], sources: &Sources) -> Vec<Violation> {
    [
        dependencies::check(packages, tree),
        dead_files::check(packages, sources),
        file_length::check(sources),
        links::check(tree),
        architecture::check(tree, packages),
        words::check(tree),
        wording::check(tree),
        shell::check(tree),
    ]
    .concat()
}
