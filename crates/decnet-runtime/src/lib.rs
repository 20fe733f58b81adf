//! The building blocks that the other crates share: time, threads, connections, log throttling and metrics.
//!
//! - [`clock`]: the wall clock, the boot clock and the clock of a worker; `jitter` for spreading load;
//! - [`backoff`]: the delays between attempts to reconnect;
//! - [`thread`](mod@thread): a thread with a runtime of its own;
//! - [`accept`]: the accept loop of a server;
//! - [`accounts`]: the users and groups of this host;
//! - [`log_throttle`]: a throttle that logs a repeated message once per interval and counts it in between;
//! - [`error_chain`]: an error and its causes in one line;
//! - [`foreign_access`]: the check whether another user can change a file;
//! - [`liveness`]: the liveness of a loop;
//! - [`metrics`]: counters, gauges and histograms;
//! - [`procfs`]: CPU time and memory of processes and threads;
//! - [`sync`]: locks that a panic does not poison.

pub mod accept;
pub mod accounts;
pub mod backoff;
pub mod clock;
pub mod error_chain;
pub mod foreign_access;
pub mod liveness;
pub mod log_throttle;
pub mod metrics;
pub mod procfs;
pub mod sync;
pub mod thread;
