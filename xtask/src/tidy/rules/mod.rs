//! One rule a file. A rule is a function from what the repository holds to what is wrong with it.

mod architecture;
mod dead_files;
mod dependencies;
mod lengths;
mod links;
mod purity;
pub(super) mod ratchet;
mod shell;
mod words;

use super::packages::Package;
use super::source::Sources;
use super::tree::Tree;
use super::violation::Violation;

/// Asks every rule.
pub(super) fn check(
    tree: &Tree,
    packages: &[Package],
    sources: &Sources,
    baseline: &ratchet::Baseline,
) -> Vec<Violation> {
    [
        dependencies::check(packages, tree),
        purity::check(tree, sources),
        dead_files::check(packages, sources),
        ratchet::check(sources, baseline),
        links::check(tree),
        architecture::check(tree, packages),
        words::check(tree),
        shell::check(tree),
    ]
    .concat()
}
