//! The filter of the list of deliveries.

use std::time::Duration;

use decnet_core::delivery::StatusClass;
use decnet_core::time::UnixMicros;

const MINUTE: u64 = 60;

/// The periods that end now, with their names and lengths.
const PERIODS: [(&str, &str, Duration); 3] = [
    ("15m", "last 15 minutes", Duration::from_secs(15 * MINUTE)),
    ("1h", "last hour", Duration::from_secs(60 * MINUTE)),
    ("24h", "last 24 hours", Duration::from_secs(24 * 60 * MINUTE)),
];

/// The filter, as in the form and in URLs.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the parameters of the API")]
pub struct DeliveryFilter {
    pub subscription: String,
    pub topic: String,
    pub state: String,
    pub status: String,
    pub reason: String,
    /// The name of a period that ends now; it takes the place of `since` and `until`.
    pub last: String,
    pub since: String,
    pub until: String,
    pub event_id: String,
    /// A part of an event's id, or the id of a delivery.
    pub search: String,
    pub cursor: String,
}

impl DeliveryFilter {
    /// Returns the parameters of a URL that are set, except for the cursor.
    #[must_use]
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let period = self.period().map_or(String::new(), |_| self.last.clone());
        let mut all = self.common();
        all.push(("last", period));
        all.retain(|(_, value)| !value.is_empty());
        all
    }

    /// Returns the parameters of the API.
    #[must_use]
    pub fn api_parameters(&self, now: UnixMicros) -> Vec<(&'static str, String)> {
        let mut all = self.common();
        if let Some(period) = self.period() {
            let since = i64::try_from(period.as_micros()).map_or(now, |micros| UnixMicros(now.0 - micros));
            all.push(("since", since.to_iso8601()));
        }
        all.retain(|(_, value)| !value.is_empty());
        all
    }

    fn common(&self) -> Vec<(&'static str, String)> {
        let time =
            |time: &String| if self.period().is_none() { time.trim().to_owned() } else { String::new() };
        vec![
            ("subscription", self.subscription.trim().to_owned()),
            ("topic", self.topic.trim().to_owned()),
            ("state", self.state.clone()),
            ("status", self.status.clone()),
            ("reason", self.reason.clone()),
            ("since", time(&self.since)),
            ("until", time(&self.until)),
            ("event_id", self.event_id.trim().to_owned()),
            ("search", self.search.trim().to_owned()),
        ]
    }

    fn period(&self) -> Option<Duration> {
        PERIODS.iter().find(|(name, ..)| *name == self.last).map(|(.., length)| *length)
    }

    /// Returns whether nothing is filtered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parameters().is_empty()
    }

    /// Returns whether the times are set by themselves.
    #[must_use]
    pub fn has_times(&self) -> bool {
        self.period().is_none() && !(self.since.is_empty() && self.until.is_empty())
    }

    /// Returns the periods, with their names.
    #[must_use]
    pub fn periods(&self) -> Vec<(&'static str, &'static str)> {
        PERIODS.iter().map(|(value, name, _)| (*value, *name)).collect()
    }

    /// Returns the classes of statuses, with their names.
    #[must_use]
    pub fn status_classes(&self) -> Vec<(&'static str, &'static str)> {
        let name = |class: StatusClass| match class {
            StatusClass::NoReply => "no reply",
            class => class.as_str(),
        };
        StatusClass::ALL.into_iter().map(|class| (class.as_str(), name(class))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn period_takes_the_place_of_the_times() {
        let filter = DeliveryFilter {
            last: "15m".into(),
            since: "2026-04-24T00:00:00Z".into(),
            topic: " a.> ".into(),
            ..DeliveryFilter::default()
        };
        assert_eq!(filter.parameters(), [("topic", "a.>".to_owned()), ("last", "15m".into())]);
        let now = UnixMicros(1_776_988_800_000_000);
        let since = ("since", "2026-04-23T23:45:00+00:00".to_owned());
        assert_eq!(filter.api_parameters(now), [("topic", "a.>".to_owned()), since]);
        assert!(!filter.has_times());
        let custom = DeliveryFilter { last: "custom".into(), ..filter };
        assert!(custom.has_times() && custom.api_parameters(now)[1].1 == "2026-04-24T00:00:00Z");
    }

    #[test]
    fn empty_filter_has_no_parameters() {
        let filter = DeliveryFilter { last: "1y".into(), cursor: "d1.0".into(), ..DeliveryFilter::default() };
        assert!(filter.is_empty() && filter.api_parameters(UnixMicros(0)).is_empty());
    }
}
