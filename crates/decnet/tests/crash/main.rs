//! Crash tests with real processes: every event that the queue has accepted is delivered, however often and whenever the worker
//! is killed, and the queue's records agree with the receiver's. One file per test:
//!
//! - [`kill`]: repeated SIGKILL at random times while the receiver misbehaves, with subscriptions of all kinds;
//! - [`backlog`]: SIGKILL with a large backlog;
//! - [`terminate`]: SIGTERM under load, once and twice;
//! - [`submit`]: SIGKILL while programs submit events to the queue;
//! - [`backup`]: a backup under load, restored elsewhere;
//! - [`trip`]: SIGKILL around a subscription's trip.
//!
//! Random choices come from a seed that is printed; `CRASH_SEED` repeats it. With `CRASH_KEEP` a failed test leaves its files in
//! the temporary directory.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails that test")]

mod audit;
mod backlog;
mod backup;
mod host;
mod kill;
mod publisher;
mod random;
mod submit;
mod terminate;
mod trip;
mod witness;
