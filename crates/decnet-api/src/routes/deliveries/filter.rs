//! Filters of deliveries.

use std::fmt::Display;
use std::str::FromStr;

use decnet_core::limits::MAX_API_PAGE_ROWS;
use decnet_core::time::UnixMicros;
use decnet_core::topic::Pattern;
use decnet_store::queue::{ActiveSubscriptions, Filter};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::cursor;
use crate::problem::Problem;

/// The default page size.
const PAGE: usize = 100;

/// The filter and the page of a delivery list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Deliveries to this subscription: its UUID, else its name.
    subscription: Option<String>,
    /// Deliveries of events whose topic matches this pattern.
    #[param(example = "attacker.>")]
    topic: Option<String>,
    /// Deliveries in these states, separated by commas: `pending`, `retrying`, `parked` (waits while its subscription is not
    /// active), `delivered`, `dead`.
    #[param(example = "retrying,dead")]
    state: Option<String>,
    /// Dead deliveries with this reason, such as `timeout` or `refused`.
    reason: Option<String>,
    /// Deliveries of events admitted at or after this time.
    #[param(format = "date-time")]
    since: Option<String>,
    /// Deliveries of events admitted before this time.
    #[param(format = "date-time")]
    until: Option<String>,
    /// Deliveries of the event with this id.
    event_id: Option<String>,
    /// Maximum number of deliveries.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    /// The `next` of the previous page.
    cursor: Option<String>,
}

/// A filter of deliveries; an empty filter selects all deliveries.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::routes) struct DeliveryFilter {
    /// Deliveries to this subscription: its UUID, else its name.
    subscription: Option<String>,
    /// Deliveries of events whose topic matches this pattern.
    #[schema(example = "attacker.>")]
    topic: Option<String>,
    /// Deliveries in one of these states. Only final deliveries are redelivered: `delivered` or `dead`.
    #[schema(example = json!(["dead"]))]
    states: Vec<String>,
    /// Dead deliveries with this reason.
    reason: Option<String>,
    /// Deliveries of events admitted at or after this time.
    #[schema(format = "date-time")]
    since: Option<String>,
    /// Deliveries of events admitted before this time.
    #[schema(format = "date-time")]
    until: Option<String>,
    /// Deliveries of the event with this id.
    event_id: Option<String>,
}

impl ListParams {
    pub(super) fn filter(self, active: ActiveSubscriptions) -> Result<Filter, Problem> {
        let limit = self.limit.unwrap_or(PAGE);
        if !(1..=MAX_API_PAGE_ROWS).contains(&limit) {
            return Err(Problem::invalid(format!("limit: must be from 1 to {MAX_API_PAGE_ROWS}")));
        }
        let before = self.cursor.as_deref().map(cursor::read).transpose()?;
        let states = self.state.iter().flat_map(|states| states.split(',')).map(str::to_owned).collect();
        let Self { subscription, topic, reason, since, until, event_id, .. } = self;
        let filter = DeliveryFilter { subscription, topic, states, reason, since, until, event_id };
        Ok(Filter { limit: Some(limit), before, ..filter.filter(active)? })
    }
}

impl DeliveryFilter {
    pub(in crate::routes) fn filter(self, active: ActiveSubscriptions) -> Result<Filter, Problem> {
        let at = |field, text: Option<&str>| text.map(|text| time(field, text)).transpose();
        let (since, until) = (at("since", self.since.as_deref())?, at("until", self.until.as_deref())?);
        let topic = self.topic.as_deref().map(Pattern::new).transpose();
        Ok(Filter {
            subscription: self.subscription,
            statuses: self.states.iter().map(|state| parse("state", state)).collect::<Result<_, _>>()?,
            active,
            reason: self.reason.as_deref().map(|reason| parse("reason", reason)).transpose()?,
            topic: topic.map_err(|error| Problem::invalid(format!("topic: {error}")))?,
            since,
            until,
            event_id: self.event_id,
            ..Filter::default()
        })
    }
}

fn time(field: &str, text: &str) -> Result<UnixMicros, Problem> {
    // In a query, an unencoded plus is a space.
    let text = text.replace(' ', "+");
    let read = UnixMicros::from_sqlite(&text).or_else(|| UnixMicros::from_sqlite(&text.replace('+', " ")));
    read.ok_or_else(|| Problem::invalid(format!("{field}: must be a time like 2026-04-24T00:00:00Z")))
}

fn parse<T: FromStr<Err: Display>>(field: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error| Problem::invalid(format!("{field}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_and_without_a_zone() {
        for text in [
            "2026-04-24T00:00:00Z",
            "2026-04-24 00:00:00",
            "2026-04-24T00:00:00+00:00",
            "2026-04-24T00:00:00 00:00",
        ] {
            assert_eq!(time("since", text).unwrap(), UnixMicros(1_776_988_800_000_000), "{text}");
        }
        assert!(time("since", "yesterday").is_err());
    }

    #[test]
    fn invalid_fields_are_named() {
        let refused = |filter: DeliveryFilter| {
            filter.filter(ActiveSubscriptions::default()).unwrap_err().detail().to_owned()
        };
        assert!(
            refused(DeliveryFilter { states: vec!["lost".into()], ..DeliveryFilter::default() })
                .contains("`lost`")
        );
        assert!(
            refused(DeliveryFilter { reason: Some("none".into()), ..DeliveryFilter::default() })
                .contains("timeout")
        );
        assert!(
            refused(DeliveryFilter { topic: Some("a..b".into()), ..DeliveryFilter::default() })
                .starts_with("topic")
        );
    }
}
