//! Storage: the only crate with SQL.
//!
//! - [`catalog`]: subscriptions in DECNET's own table `webhook_subscriptions`, and API tokens;
//! - [`queue`]: events, deliveries and attempts, in a SQLite file that belongs to `decnet`;
//! - [`explain`]: the reasons why an event was or was not routed to a subscription;
//! - [`delivery_rules`]: whether a subscription gets an event, by its severity floor and filter;
//! - [`severity_file`]: the operator's table of severities;
//! - [`backup`]: consistent copies of catalog and queue, and their verification;
//! - [`ownership`]: the owner of files that root creates;
//! - [`vault`]: the encryption of secrets at rest.

pub mod backup;
pub mod catalog;
pub mod delivery_rules;
pub mod explain;
mod file_identity;
mod file_system;
pub mod ownership;
pub mod queue;
pub mod severity_file;
mod sql;
pub mod vault;
