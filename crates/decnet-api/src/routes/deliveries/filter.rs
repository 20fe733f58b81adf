//! Which deliveries are meant.

use decnet_core::delivery::{Reason, Standing};
use decnet_core::limits::MAX_API_PAGE;
use decnet_core::time::UnixMicros;
use decnet_core::topic::Pattern;
use decnet_store::queue::{Active, Filter};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::cursor;
use crate::problem::Problem;

/// Rows of a page where nobody says.
const PAGE: usize = 100;

/// Which deliveries to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Of this subscription: its UUID, else its name.
    subscription: Option<String>,
    /// Of events whose topic matches this pattern.
    #[param(example = "attacker.>")]
    topic: Option<String>,
    /// In these states, separated by commas: `pending`, `retrying`, `parked` (waits for a subscription that gets nothing
    /// now), `delivered`, `dead`.
    #[param(example = "retrying,dead")]
    state: Option<String>,
    /// Dead for this reason, such as `timeout` or `refused`.
    reason: Option<String>,
    /// Of events admitted then or later.
    #[param(format = "date-time")]
    since: Option<String>,
    /// Of events admitted before then.
    #[param(format = "date-time")]
    until: Option<String>,
    /// Of the event with this id.
    event_id: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Which deliveries are chosen; all of them where nothing is said.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::routes) struct Chosen {
    /// Of this subscription: its UUID, else its name.
    subscription: Option<String>,
    /// Of events whose topic matches this pattern.
    #[schema(example = "attacker.>")]
    topic: Option<String>,
    /// In one of these states. Only what is final is sent again: `delivered` or `dead`.
    #[schema(example = json!(["dead"]))]
    states: Vec<String>,
    /// Dead for this reason.
    reason: Option<String>,
    /// Of events admitted then or later.
    #[schema(format = "date-time")]
    since: Option<String>,
    /// Of events admitted before then.
    #[schema(format = "date-time")]
    until: Option<String>,
    /// Of the event with this id.
    event_id: Option<String>,
}

impl ListParams {
    pub(super) fn filter(self, active: Active) -> Result<Filter, Problem> {
        let limit = self.limit.unwrap_or(PAGE);
        if !(1..=MAX_API_PAGE).contains(&limit) {
            return Err(Problem::invalid(format!("limit: is from 1 to {MAX_API_PAGE}")));
        }
        let before = self.cursor.as_deref().map(cursor::read).transpose()?;
        let states = self.state.iter().flat_map(|states| states.split(',')).map(str::to_owned).collect();
        let Self { subscription, topic, reason, since, until, event_id, .. } = self;
        let chosen = Chosen { subscription, topic, states, reason, since, until, event_id };
        Ok(Filter { limit: Some(limit), before, ..chosen.filter(active)? })
    }
}

impl Chosen {
    pub(in crate::routes) fn filter(self, active: Active) -> Result<Filter, Problem> {
        let at = |field, text: Option<&str>| text.map(|text| time(field, text)).transpose();
        let (since, until) = (at("since", self.since.as_deref())?, at("until", self.until.as_deref())?);
        Ok(Filter {
            subscription: self.subscription,
            standings: self.states.iter().map(|state| standing(state)).collect::<Result<_, _>>()?,
            active,
            reason: self.reason.as_deref().map(reason).transpose()?,
            topic: self.topic.as_deref().map(topic).transpose()?,
            since,
            until,
            event_id: self.event_id,
            ..Filter::default()
        })
    }
}

fn time(field: &str, text: &str) -> Result<UnixMicros, Problem> {
    // In a query, a plus that nobody encoded is a space.
    let text = text.replace(' ', "+");
    let read = UnixMicros::from_sqlite(&text).or_else(|| UnixMicros::from_sqlite(&text.replace('+', " ")));
    read.ok_or_else(|| Problem::invalid(format!("{field}: write a time like 2026-04-24T00:00:00Z")))
}

fn standing(text: &str) -> Result<Standing, Problem> {
    text.parse().map_err(|error| Problem::invalid(format!("state: {error}")))
}

fn reason(text: &str) -> Result<Reason, Problem> {
    text.parse().map_err(|error| Problem::invalid(format!("reason: {error}")))
}

fn topic(text: &str) -> Result<Pattern, Problem> {
    Pattern::new(text).map_err(|error| Problem::invalid(format!("topic: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_or_without_zone_and_with_a_plus_that_became_a_space() {
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
    fn what_is_wrong_is_named() {
        let refused = |chosen: Chosen| chosen.filter(Active::default()).unwrap_err().detail().to_owned();
        assert!(refused(Chosen { states: vec!["lost".into()], ..Chosen::default() }).contains("`lost`"));
        assert!(refused(Chosen { reason: Some("none".into()), ..Chosen::default() }).contains("timeout"));
        assert!(refused(Chosen { topic: Some("a..b".into()), ..Chosen::default() }).starts_with("topic"));
    }
}
