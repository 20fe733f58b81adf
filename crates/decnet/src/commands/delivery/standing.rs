//! The state of a delivery as shown to operators. A delivery that waits for a subscription which is not active is parked,
//! although the queue does not store that state.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use decnet_core::delivery::Standing;
use decnet_store::catalog::{Catalog, Create, Error};
use decnet_store::queue::Active;

use crate::config::Config;
use crate::failure::format_error;

/// Returns the parser of `--state`.
pub(super) fn parser() -> impl TypedValueParser<Value = Standing> {
    let values = Standing::ALL.map(|standing| PossibleValue::new(standing.as_str()).help(help(standing)));
    PossibleValuesParser::new(values).try_map(|text| text.parse::<Standing>())
}

fn help(standing: Standing) -> &'static str {
    match standing {
        Standing::Pending => "Not yet attempted",
        Standing::Retrying => "Waiting for the next attempt",
        Standing::Parked => "Waiting for the subscription to be enabled, resumed or to recover",
        Standing::Delivered => "Answered with a 2xx status",
        Standing::Dead => "Not delivered and not retried",
    }
}

/// Reads the active subscriptions from the catalog. If it cannot be read, only the states of the queue are shown.
pub(super) fn active(config: &Config) -> Active {
    match try_read(config) {
        Ok(active) => active,
        // Without a catalog there are no subscriptions, so nothing is parked.
        Err(error) if matches!(error.downcast_ref(), Some(Error::Missing { .. })) => Active::default(),
        Err(error) => {
            tracing::warn!(
                "cannot read the catalog, so parked deliveries are shown as pending or retrying: {}",
                format_error(&error)
            );
            Active::default()
        }
    }
}

fn try_read(config: &Config) -> anyhow::Result<Active> {
    Ok(Active::of(Catalog::open(config.database.path()?, Create::Never)?.rows()?))
}
