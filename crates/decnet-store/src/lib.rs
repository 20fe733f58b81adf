//! What `decnet` remembers: the only crate with SQL.
//!
//! - [`catalog`]: the subscriptions, in DECNET's table `webhook_subscriptions`, shared with DECNET itself;
//! - [`queue`]: events, deliveries and attempts, in a file of our own.

pub mod catalog;
pub mod queue;
