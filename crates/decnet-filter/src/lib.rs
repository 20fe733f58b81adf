//! Filters of subscriptions: expressions in CEL (Common Expression Language) over one event.
//!
//! ```text
//! source ──► parser ──► syntax tree ──► lowering ──► nodes ┐
//!            bounds                     names, kinds       ├──► evaluation ──► true, false, or an error
//! event ───► FilterInput: its body, parsed once ───────────┘    steps
//! ```
//!
//! Operators write filters, attackers write payloads. Compilation therefore rejects whatever can be recognized as a mistake, and
//! evaluation counts every node, list element and piece of text as steps of a [`Budget`]. Nothing here has a clock, an
//! environment, randomness or a network.
//!
//! # Why not the crate `cel`
//!
//! Version 0.15 was measured with the profile `release`: 63 CPU seconds for a cold build, of which `cel` takes 49 and `antlr4rust`
//! 12, although only the Pratt parser was wanted. Evaluation has no cost counter, looks functions up by name, and compiles the
//! pattern of `matches` each time. This crate needs `regex-lite` alone (3 CPU seconds, without `unsafe`), borrows the payload,
//! and has exact costs and positions.
//!
//! # Differences from the CEL specification
//!
//! - The functions and their forms are those of [`FUNCTIONS`] and [`MACROS`]. Timestamps, durations, bytes, messages and conversions
//!   are missing, and `+` does not join lists.
//! - Integers have 128 bits. A larger integer of a payload is rounded to a double. An int and a double can be added.
//! - `has(a.b.c)` is false if `a.b` does not exist or is not a map, where CEL reports an error.

mod budget;
mod error;
mod evaluation;
mod filter;
mod input;
mod lowering;
mod node;
mod syntax;
mod value;

pub use budget::{Budget, MAX_EVENT_STEPS, MAX_FILTER_STEPS};
pub use error::{EvaluationError, FilterError, Position};
pub use filter::Filter;
pub use input::FilterInput;
pub use lowering::{FUNCTIONS, MACROS, MAX_COMPREHENSIONS, MAX_PATTERN_MEMORY};
pub use syntax::{MAX_DEPTH, MAX_NODES};
