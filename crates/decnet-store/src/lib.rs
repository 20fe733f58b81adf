//! What `decnet` remembers: the only crate with SQL.
//!
//! - [`catalog`]: the subscriptions, in DECNET's table `webhook_subscriptions`, shared with DECNET itself;
//! - [`queue`]: events, deliveries and attempts, in a file of our own;
//! - [`clock`]: the time, and whether it can be trusted;
//! - [`explain`]: why an event did, or did not, go to a subscription;
//! - [`backup`]: consistent copies of both, and the way back;
//! - [`ownership`]: whose the files are that root makes.

pub mod backup;
pub mod catalog;
pub mod clock;
pub mod explain;
mod file_system;
mod origin;
pub mod ownership;
pub mod queue;
