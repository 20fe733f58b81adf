//! Runs a step of the worker repeatedly: `instructions STEP TIMES`. `cargo xtask cost` counts the instructions.
//!
//! This is a crate of its own because examples of the crates would be built with everything that the tests need.

mod bus;
mod filter;
mod format;

/// A failed step ends the program.
type Result = std::result::Result<(), Box<dyn std::error::Error>>;

/// Runs a step this number of times.
type Step = fn(u32) -> Result;

/// The steps by name.
const STEPS: [(&str, Step); 6] = [
    ("topic", bus::route),
    ("frame", bus::decode_frames),
    ("event", bus::make_events),
    ("filter.first", filter::first),
    ("filter.next", filter::next),
    ("format", format::slack),
];

fn main() -> Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [step, times] = arguments.as_slice() else { return Err("usage: instructions STEP TIMES".into()) };
    let (_, run) = STEPS.iter().find(|(name, _)| name == step).ok_or("there is no such step")?;
    run(times.parse()?)
}
