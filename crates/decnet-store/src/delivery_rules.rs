//! The decision whether a subscription gets an event whose topic matches its patterns, as the worker makes it: by severity floor and
//! filter.

use std::fmt;

use decnet_core::event::Event;
use decnet_core::settings::Settings;
use decnet_core::severity::{Severity, SeverityTable};
use decnet_filter::{Budget, Filter, FilterError, FilterInput};

/// The severity floor and the compiled filter of one subscription.
#[derive(Debug)]
pub struct DeliveryRules<'s> {
    severities: &'s SeverityTable,
    floor: Option<Severity>,
    filter: Option<Filter>,
}

/// The decision about an event for the subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleResult {
    /// The event is delivered.
    Delivered,
    /// The severity of the event is below the floor.
    BelowFloor {
        /// The severity of the event.
        severity: Severity,
        /// The lowest severity that is delivered.
        floor: Severity,
    },
    /// The filter is false.
    FilteredOut,
    /// The filter cannot be evaluated, for this reason. The worker lists the delivery as dead.
    Failed(String),
}

impl<'s> DeliveryRules<'s> {
    /// Compiles the rules of a subscription.
    ///
    /// # Errors
    /// The filter does not compile.
    pub fn new(settings: &Settings, severities: &'s SeverityTable) -> Result<Self, FilterError> {
        let filter = settings.filter.as_ref().map(|source| Filter::compile(source.as_str())).transpose()?;
        Ok(Self { severities, floor: settings.min_severity, filter })
    }

    /// Returns the severity of an event.
    #[must_use]
    pub fn severity(&self, event: &Event) -> Severity {
        self.severities.of(&event.topic)
    }

    /// Applies the rules to an event.
    #[must_use]
    pub fn apply(&self, event: &Event) -> RuleResult {
        let severity = self.severity(event);
        if let Some(floor) = self.floor.filter(|floor| severity < *floor) {
            return RuleResult::BelowFloor { severity, floor };
        }
        let Some(filter) = &self.filter else { return RuleResult::Delivered };
        match filter.evaluate(&FilterInput::new(event, severity), &mut Budget::default()) {
            Ok(true) => RuleResult::Delivered,
            Ok(false) => RuleResult::FilteredOut,
            Err(error) => RuleResult::Failed(error.to_string()),
        }
    }
}

impl fmt::Display for RuleResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivered => f.write_str("severity and filter accept the event"),
            Self::BelowFloor { severity, floor } => {
                write!(f, "the severity {severity} is below the minimum {floor}")
            }
            Self::FilteredOut => f.write_str("the filter excludes the event"),
            Self::Failed(error) => write!(f, "the filter cannot be evaluated for the event: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use decnet_core::settings::FilterSource;
    use decnet_core::time::UnixMicros;

    use super::*;

    fn result(settings: &Settings, payload: &str) -> RuleResult {
        let event = Event::new("e", "attacker.observed", "observed", UnixMicros(0), payload).unwrap();
        DeliveryRules::new(settings, &SeverityTable::default()).unwrap().apply(&event)
    }

    #[test]
    fn floor_and_filter_decide_with_a_reason() {
        let filter = FilterSource::new("payload.port == 22").ok();
        let mut settings = Settings { filter, ..Settings::default() };
        assert_eq!(result(&Settings::default(), "{}"), RuleResult::Delivered);
        assert_eq!(result(&settings, r#"{"port":22}"#), RuleResult::Delivered);
        assert_eq!(result(&settings, r#"{"port":23}"#), RuleResult::FilteredOut);
        let failed = result(&settings, "{}");
        assert!(matches!(&failed, RuleResult::Failed(error) if error.contains("port")), "{failed}");
        settings.min_severity = Some(Severity::High);
        let below = result(&settings, r#"{"port":22}"#);
        assert_eq!(below, RuleResult::BelowFloor { severity: Severity::Low, floor: Severity::High });
        assert_eq!(below.to_string(), "the severity low is below the minimum high");
    }

    #[test]
    fn filter_that_does_not_compile_is_an_error() {
        let settings = Settings { filter: FilterSource::new("payload.").ok(), ..Settings::default() };
        assert!(DeliveryRules::new(&settings, &SeverityTable::default()).is_err());
    }
}
