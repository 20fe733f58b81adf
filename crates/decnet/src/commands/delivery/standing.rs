//! The state of a delivery as shown to operators. A delivery that waits for a subscription which is not active is parked,
//! although the queue does not store that state.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use decnet_core::delivery::DeliveryStatus;
use decnet_store::catalog::Catalog;
use decnet_store::queue::ActiveSubscriptions;

use crate::commands::shared::catalog::read_if_exists;
use crate::config::Config;
use crate::failure::format_error;

/// Returns the parser of `--state`.
pub(super) fn parser() -> impl TypedValueParser<Value = DeliveryStatus> {
    let value = |standing: DeliveryStatus| {
        PossibleValue::new(standing.as_str()).help(match standing {
            DeliveryStatus::Pending => "Not yet attempted",
            DeliveryStatus::Retrying => "Waiting for the next attempt",
            DeliveryStatus::Parked => "Waiting for the subscription to be enabled, resumed or to recover",
            DeliveryStatus::Delivered => "Answered with a 2xx status",
            DeliveryStatus::Dead => "Not delivered and not retried",
        })
    };
    PossibleValuesParser::new(DeliveryStatus::ALL.map(value)).try_map(|text| text.parse::<DeliveryStatus>())
}

/// Reads the active subscriptions from the catalog. If it cannot be read, only the states of the queue are shown.
pub(super) fn active(config: &Config) -> ActiveSubscriptions {
    let rows = read_if_exists(config, Catalog::rows).unwrap_or_else(|error| {
        tracing::warn!(
            "cannot read the catalog, so parked deliveries are shown as pending or retrying: {}",
            format_error(&error)
        );
        None
    });
    // Without a catalog there are no subscriptions, so nothing is parked.
    rows.map(ActiveSubscriptions::of).unwrap_or_default()
}
