//! `cargo xtask cost`: the cost of a delivery, counted rather than timed, compared with ceilings in one file.
//!
//! - [`rig`]: bus, receiver and publisher around a worker, of programs that are built like the tests;
//! - `allocations`, `syscalls`, `instructions`: the counts;
//! - [`ceilings`]: the ceilings, and the advice if a ceiling is exceeded.

mod allocations;
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
Each line shows a figure, its value and its ceiling; the exit code is 1 if one is above its ceiling.
Counts that need strace or valgrind are skipped, with a message, if these are missing or not permitted.

Examples:
  cargo xtask cost
  cargo xtask cost --only instructions
  cargo xtask cost --tighten      after something has become cheaper: lower the ceilings";
/// Number of counts before ceilings are lowered; the largest value decides.
const ROUNDS_TO_TIGHTEN: usize = 5;

/// Number of further counts if a ceiling is exceeded.
const MAX_RECOUNTS: usize = 3;

/// Count allocations and system calls of a delivery, and instructions of a topic, a frame, an event, a filter and a format
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Lower the ceilings in xtask/cost.toml to slightly above the counted values; never raise a ceiling
    #[arg(long)]
    tighten: bool,
    /// Count only this kind
    #[arg(long, value_name = "KIND")]
    only: Option<Kind>,
    /// Number of counts; the largest value is shown [default: 1, or 5 with --tighten]
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
}

/// The kinds of counts.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Allocations,
    Syscalls,
    Instructions,
}

/// Counts the figures of one kind.
type Count = fn() -> Result<Counted>;

const COUNTS: [(Kind, Count); 3] = [
    (Kind::Allocations, allocations::count),
    (Kind::Syscalls, syscalls::count),
    (Kind::Instructions, instructions::count),
];

/// A counted value.
#[derive(Debug, Clone, PartialEq)]
struct Figure {
    /// Name of its ceiling in the file.
    name: String,
    value: f64,
}

/// Result of a count, or the reason why it was skipped.
enum Counted {
    Figures(Vec<Figure>),
    Skipped(String),
}

impl Figure {
    fn new(name: impl Into<String>, value: f64) -> Self {
        Self { name: name.into(), value }
    }
}

/// Counts, compares with the ceilings, and lowers them if requested.
pub(crate) fn run(options: &Options, out: &mut impl Write) -> Result<ExitCode> {
    let mut ceilings = Ceilings::load()?;
    let rounds = options.rounds.unwrap_or(if options.tighten { ROUNDS_TO_TIGHTEN } else { 1 });
    let mut figures = Vec::new();
    for (_, count) in COUNTS.iter().filter(|(kind, _)| options.only.is_none_or(|only| only == *kind)) {
        match largest(*count, rounds)? {
            Counted::Figures(counted) if ceilings.permit(&counted) => figures.extend(counted),
            Counted::Figures(counted) => figures.extend(recounted(*count, counted, &ceilings)?),
            Counted::Skipped(why) => writeln!(out, "skipped: {why}")?,
        }
    }
    if options.tighten {
        ceilings.lower(&figures)?;
    }
    Ok(if ceilings.compare(&figures, out)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Counts several times, and keeps the largest value of each figure.
fn largest(count: Count, rounds: usize) -> Result<Counted> {
    let mut counted = count()?;
    for _ in 1..rounds {
        if let (Counted::Figures(figures), Counted::Figures(again)) = (&mut counted, count()?) {
            keep(figures, &again, f64::max);
        }
    }
    Ok(counted)
}

/// Counts again while a figure exceeds its ceiling, and keeps the smallest value of each. Other load on the machine can only add wake-ups
/// and waits, so a delivery that really does more exceeds its ceiling each time.
fn recounted(count: Count, mut figures: Vec<Figure>, ceilings: &Ceilings) -> Result<Vec<Figure>> {
    for _ in 0..MAX_RECOUNTS {
        if ceilings.permit(&figures) {
            break;
        }
        if let Counted::Figures(again) = count()? {
            keep(&mut figures, &again, f64::min);
        }
    }
    Ok(figures)
}

fn keep(figures: &mut [Figure], again: &[Figure], choose: fn(f64, f64) -> f64) {
    for figure in figures {
        if let Some(Figure { value, .. }) = again.iter().find(|other| other.name == figure.name) {
            figure.value = choose(figure.value, *value);
        }
    }
}
