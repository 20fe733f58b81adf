//! Checks the rules of the repository that neither rustc nor clippy checks. Loads the tree once, runs each
//! rule, and prints one line per violation.

mod packages;
mod rules;
mod source;
mod tree;
mod violation;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

use source::Sources;
use tree::Tree;

const EXAMPLES: &str = "\
Each violation is one line, `path:line: rule: message`; the exit code is 1 if there is any.

Examples:
  cargo xtask tidy
  cargo xtask tidy --root ../other";

/// Check the rules of the repository: dependencies, dead files, file lengths, docs, words, shell scripts.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The repository to check [default: the workspace around the current directory]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

/// Checks every rule and prints the violations to `out`. Returns failure if there is a violation.
pub(crate) fn run(options: &Options, out: &mut impl Write) -> Result<ExitCode> {
    let root = options.root.clone().map_or_else(workspace_root, Ok)?;
    let tree = Tree::load(&root)?;
    let packages = packages::load(&root)?;
    let (sources, unparsable) = Sources::parse(&tree);
    let mut violations = unparsable;
    violations.extend(rules::check(&tree, &packages, &sources));
    violations.sort();
    violations.dedup();
    for violation in &violations {
        writeln!(out, "{violation}")?;
    }
    Ok(if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns the nearest folder, upwards from the current one, whose Cargo.toml has a `[workspace]`.
fn workspace_root() -> Result<PathBuf> {
    let here = std::env::current_dir()?;
    let holds_workspace = |dir: &&Path| {
        std::fs::read_to_string(dir.join("Cargo.toml")).is_ok_and(|text| text.contains("[workspace]"))
    };
    let root = here.ancestors().find(holds_workspace);
    root.map(Path::to_path_buf)
        .context("the current directory is not in a workspace: specify the workspace root with --root DIR")
}
