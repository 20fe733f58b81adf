//! Code that the benchmark program, run by `cargo xtask bench`, and the command `decnet bench` share.
//!
//! - [`load`]: a publisher, and the progress of its events;
//! - [`receiver`]: a receiver that counts requests as fast as it can;
//! - [`cpu`], [`disk`]: measurements of the machine;
//! - [`quantiles`], [`format`](mod@format): the figures.

pub mod cpu;
pub mod disk;
pub mod format;
pub mod load;
pub mod quantiles;
pub mod receiver;

use anyhow::Result;
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::Settings;
use decnet_core::topic::Pattern;
use decnet_store::catalog::NewSubscription;

/// Returns an enabled subscription with default settings.
///
/// # Errors
/// The pattern is not valid.
pub fn subscription(
    number: usize,
    url: EndpointUrl,
    secret: Secret,
    pattern: &str,
) -> Result<NewSubscription> {
    let (name, patterns) = (format!("bench-{number}"), vec![Pattern::new(pattern)?]);
    Ok(NewSubscription { name, url, secret, patterns, enabled: true, settings: Settings::default() })
}
