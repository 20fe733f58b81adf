//! Filters of deliveries.

use std::fmt::Display;
use std::str::FromStr;

use decnet_core::time::UnixMicros;
use decnet_core::topic::Pattern;
use decnet_store::queue::{ActiveSubscriptions, Filter};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::problem::Problem;
use crate::routes::pagination;

/// The filter and the page of a delivery list. A delivery must match all given conditions.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// UUID or name of the subscription to which the deliveries belong. If it is the UUID of a subscription, names are ignored.
    subscription: Option<String>,
    /// Pattern that the topic of the event matches.
    #[param(example = "attacker.>")]
    topic: Option<String>,
    /// States, separated by commas: `pending`, `retrying`, `parked`, `delivered`, `dead`. A delivery is parked while it is not
    /// final and its subscription is not active.
    #[param(example = "retrying,dead")]
    state: Option<String>,
    /// Classes of the status with which the last attempt was answered, separated by commas: `2xx`, `3xx`, `4xx`, `5xx`, or `none` if
    /// it had no reply. Deliveries without an attempt are in no class.
    #[param(example = "5xx,none")]
    status: Option<String>,
    /// Reason why the deliveries are dead, such as `timeout`, `refused`, `filter` or `template`.
    reason: Option<String>,
    /// Earliest time at which the event was admitted.
    #[param(format = "date-time")]
    since: Option<String>,
    /// Time before which the event was admitted.
    #[param(format = "date-time")]
    until: Option<String>,
    /// Id of the event.
    event_id: Option<String>,
    /// Text that the id of the event contains.
    search: Option<String>,
    /// Maximum number of deliveries in the page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// The `next` of the previous page.
    cursor: Option<String>,
}

/// Filter of deliveries. A delivery must match all given conditions; an empty filter selects all deliveries.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::routes) struct DeliveryFilter {
    /// UUID or name of the subscription to which the deliveries belong. If it is the UUID of a subscription, names are ignored.
    subscription: Option<String>,
    /// Pattern that the topic of the event matches.
    #[schema(example = "attacker.>")]
    topic: Option<String>,
    /// States of the deliveries; any state if empty. Only final deliveries, `delivered` or `dead`, are redelivered.
    #[schema(example = json!(["dead"]))]
    states: Vec<String>,
    /// Classes of the status with which the last attempt was answered: `2xx`, `3xx`, `4xx`, `5xx`, or `none` if it had no reply; any
    /// if empty.
    #[schema(example = json!([]))]
    statuses: Vec<String>,
    /// Reason why the deliveries are dead, such as `timeout`, `refused`, `filter` or `template`.
    reason: Option<String>,
    /// Earliest time at which the event was admitted.
    #[schema(format = "date-time")]
    since: Option<String>,
    /// Time before which the event was admitted.
    #[schema(format = "date-time")]
    until: Option<String>,
    /// Id of the event.
    event_id: Option<String>,
}

impl ListParams {
    pub(super) fn filter(self, active: ActiveSubscriptions) -> Result<Filter, Problem> {
        let limit = Some(pagination::limit(self.limit)? as usize);
        let before =
            self.cursor.as_deref().map(|cursor| pagination::parse_cursor('d', cursor)).transpose()?;
        let (states, statuses) = (split(self.state.as_deref()), split(self.status.as_deref()));
        let Self { subscription, topic, reason, since, until, event_id, search, .. } = self;
        let filter = DeliveryFilter { subscription, topic, states, statuses, reason, since, until, event_id };
        Ok(Filter { limit, before, search, ..filter.filter(active)? })
    }
}

impl DeliveryFilter {
    pub(in crate::routes) fn filter(self, active: ActiveSubscriptions) -> Result<Filter, Problem> {
        let at = |field, text: Option<&str>| text.map(|text| time(field, text)).transpose();
        let (since, until) = (at("since", self.since.as_deref())?, at("until", self.until.as_deref())?);
        let topic = self.topic.as_deref().map(Pattern::new).transpose();
        Ok(Filter {
            subscription: self.subscription,
            statuses: parse_all("state", &self.states)?,
            status_classes: parse_all("status", &self.statuses)?,
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

/// Reads a time of a query or a body. The error names the field.
pub(in crate::routes) fn time(field: &str, text: &str) -> Result<UnixMicros, Problem> {
    // In a query, an unencoded plus is a space.
    let text = text.replace(' ', "+");
    let read = UnixMicros::from_sqlite(&text).or_else(|| UnixMicros::from_sqlite(&text.replace('+', " ")));
    read.ok_or_else(|| Problem::invalid(format!("{field}: must be a time like 2026-04-24T00:00:00Z")))
}

/// Splits a list at its commas.
fn split(list: Option<&str>) -> Vec<String> {
    list.iter().flat_map(|list| list.split(',')).map(str::to_owned).collect()
}

fn parse_all<T: FromStr<Err: Display>>(field: &str, texts: &[String]) -> Result<Vec<T>, Problem> {
    texts.iter().map(|text| parse(field, text)).collect()
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
            refused(DeliveryFilter { statuses: vec!["500".into()], ..DeliveryFilter::default() })
                .contains("5xx")
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
