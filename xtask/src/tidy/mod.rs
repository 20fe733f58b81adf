//! Checks the rules of the repository that neither rustc nor clippy checks. Loads the tree once, runs each
//! rule, and prints one line per violation.

mod packages;
mod rules;
mod tree;
mod violation;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use packages::Workspace;
use tree::Tree;

const EXAMPLES: &str = "\
Each violation is one line, `path:line: rule: message`; the exit code is 1 if there is any.

Examples:
  cargo xtask tidy
  cargo xtask tidy --root ../other";

/// Check the rules of the repository: dependencies, dead files, file lengths, links, and wording
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// A directory of the workspace to check [default: the current directory]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

/// Checks every rule and prints the violations to `out`. Returns failure if there is a violation.
pub(crate) fn run(options: &Options, out: &mut impl Write) -> Result<ExitCode> {
    let workspace = Workspace::load(options.root.as_deref())?;
    let tree = Tree::load(&workspace.root)?;
    let mut violations = rules::check(&tree, &workspace.packages);
    violations.sort();
    violations.dedup();
    for violation in &violations {
        writeln!(out, "{violation}")?;
    }
    Ok(if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
