//! Where a delivery stands, as an operator sees it: one that waits for a subscription which gets nothing is
//! parked, though the queue does not store that.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use decnet_core::delivery::Standing;
use decnet_store::catalog::{Catalog, Create, Error};
use decnet_store::queue::Active;

use crate::config::Config;
use crate::failure::told;

/// Reads the argument of `--state`.
pub(super) fn parser() -> impl TypedValueParser<Value = Standing> {
    let values = Standing::ALL.map(|standing| PossibleValue::new(standing.as_str()).help(help(standing)));
    PossibleValuesParser::new(values).try_map(|text| text.parse::<Standing>())
}

fn help(standing: Standing) -> &'static str {
    match standing {
        Standing::Pending => "Not yet attempted",
        Standing::Retrying => "Waits for its next attempt",
        Standing::Parked => "Waits for its subscription to be enabled, or to recover",
        Standing::Delivered => "A 2xx came back",
        Standing::Dead => "Given up",
    }
}

/// Asks the catalog who gets events now. One that cannot be read leaves the queue's own states to be shown.
pub(super) fn active(config: &Config) -> Active {
    match try_read(config) {
        Ok(active) => active,
        // Before the first subscription there is nothing to tell.
        Err(error) if matches!(error.downcast_ref(), Some(Error::Missing { .. })) => Active::default(),
        Err(error) => {
            tracing::warn!("parked deliveries cannot be told from others: {}", told(&error));
            Active::default()
        }
    }
}

fn try_read(config: &Config) -> anyhow::Result<Active> {
    Ok(Active::of(Catalog::open(config.database.path()?, Create::Never)?.rows()?))
}
