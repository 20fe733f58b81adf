//! The promise, with real processes: what the queue has accepted is delivered, however often and whenever the
//! worker dies, and the queue and the receiver tell the same story. One file a test:
//!
//! - [`kill`]: SIGKILL again and again, at random moments, while the receiver misbehaves, to subscriptions of all kinds;
//! - [`backlog`]: SIGKILL over a large backlog;
//! - [`terminate`]: SIGTERM under load, once and twice;
//! - [`submit`]: SIGKILL while programs submit events to the queue;
//! - [`backup`]: a backup under load, restored elsewhere;
//! - [`trip`]: SIGKILL around a subscription's trip.
//!
//! Chance comes from a seed that is printed; `CRASH_SEED` repeats it. With `CRASH_KEEP` a failed test leaves its files in the
//! temporary directory.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails that test")]

mod audit;
mod backlog;
mod backup;
mod chance;
mod host;
mod kill;
mod publisher;
mod submit;
mod terminate;
mod trip;
mod witness;
