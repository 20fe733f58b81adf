//! `cargo xtask cost`: what a delivery costs, counted rather than timed, against ceilings that stand in one file.
//!
//! - [`build`]: the programs, as the tests have them; [`rig`]: bus, receiver and publisher around a worker;
//! - `allocations`, `syscalls`, `instructions`: what is counted, and how;
//! - [`ceilings`]: what is allowed, and what to do about more.

mod allocations;
mod build;
mod ceilings;
mod instructions;
mod process;
mod rig;
mod syscalls;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;

use ceilings::Ceilings;

const EXAMPLES: &str = "\
Each figure is one line: what, how much, and the ceiling; the exit code is 1 if one is above it. What needs strace or
valgrind is left out, with a word, where they are missing or not permitted.

Examples:
  cargo xtask cost
  cargo xtask cost --only instructions
  cargo xtask cost --tighten      after something has become cheaper: lower the ceilings to a little above today";
/// Times that everything is counted before ceilings are lowered: the worst of them is what stays allowed.
const ROUNDS_TO_TIGHTEN: usize = 5;

/// Count allocations and system calls of a delivery, and instructions of a topic and a frame.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Lower the ceilings in xtask/cost.toml to a little above what is counted now; never raises one
    #[arg(long)]
    tighten: bool,
    /// Only these: allocations, syscalls or instructions
    #[arg(long, value_name = "WHAT")]
    only: Option<What>,
    /// How often to count; the largest figure is shown [default: 1, or 5 with --tighten]
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
}

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    Allocations,
    Syscalls,
    Instructions,
}

/// One figure.
#[derive(Debug, Clone, PartialEq)]
struct Figure {
    /// As it is called in the file of ceilings.
    name: String,
    value: f64,
}

/// What was counted, or why it could not be.
enum Counted {
    Figures(Vec<Figure>),
    Skipped(String),
}

impl Figure {
    fn new(name: impl Into<String>, value: f64) -> Self {
        Self { name: name.into(), value }
    }
}

/// Counts, compares, and lowers ceilings if that was asked for.
pub(crate) fn run(options: &Options, out: &mut impl Write) -> Result<ExitCode> {
    let mut ceilings = Ceilings::load()?;
    let mut figures = Vec::new();
    for round in 0..options.rounds.unwrap_or(if options.tighten { ROUNDS_TO_TIGHTEN } else { 1 }) {
        for what in [What::Allocations, What::Syscalls, What::Instructions] {
            if options.only.is_some_and(|only| only != what) {
                continue;
            }
            match count(what)? {
                Counted::Figures(counted) => keep_largest(&mut figures, counted),
                Counted::Skipped(why) if round == 0 => writeln!(out, "skipped: {why}")?,
                Counted::Skipped(_) => {}
            }
        }
    }
    if options.tighten {
        ceilings.lower(&figures)?;
    }
    Ok(if ceilings.compare(&figures, out)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn count(what: What) -> Result<Counted> {
    match what {
        What::Allocations => allocations::count(),
        What::Syscalls => syscalls::count(),
        What::Instructions => instructions::count(),
    }
}

fn keep_largest(figures: &mut Vec<Figure>, counted: Vec<Figure>) {
    for figure in counted {
        match figures.iter_mut().find(|known| known.name == figure.name) {
            Some(known) => known.value = known.value.max(figure.value),
            None => figures.push(figure),
        }
    }
}
