//! The filters of deliveries, as arguments.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use decnet_core::delivery::{Reason, StatusClass};
use decnet_core::time::UnixMicros;
use decnet_core::topic::Pattern;
use decnet_store::queue::{ActiveSubscriptions, Filter};

use crate::commands::shared::times::since;

/// The filters that listing and redelivery have in common.
#[derive(Debug, clap::Args)]
pub(super) struct FilterArgs {
    /// Only dead deliveries with this reason
    #[arg(long, value_parser = reasons())]
    reason: Option<Reason>,
    /// Only deliveries whose last attempt was answered with a status of this class, or had no reply; may be given several times
    #[arg(long, value_parser = status_classes())]
    status: Vec<StatusClass>,
    /// Only deliveries of this subscription: its name or UUID
    #[arg(long, value_name = "NAME")]
    pub(super) subscription: Option<String>,
    /// Only events whose topic matches this pattern
    #[arg(long, value_name = "PATTERN", value_parser = |text: &str| Pattern::new(text))]
    topic: Option<Pattern>,
    /// Only events admitted since this time: 2h (ago), or 2026-11-23T10:00 (UTC)
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<UnixMicros>,
    /// Only events admitted before this time, in the same format
    #[arg(long, value_name = "TIME", value_parser = since)]
    until: Option<UnixMicros>,
}

/// Returns a parser whose values a shell can complete.
fn reasons() -> impl TypedValueParser<Value = Reason> {
    PossibleValuesParser::new(Reason::ALL.map(Reason::as_str)).try_map(|text| text.parse::<Reason>())
}

fn status_classes() -> impl TypedValueParser<Value = StatusClass> {
    PossibleValuesParser::new(StatusClass::ALL.map(StatusClass::as_str))
        .try_map(|text| text.parse::<StatusClass>())
}

impl FilterArgs {
    /// Returns the filter that the arguments describe.
    pub(super) fn filter(&self, active: &ActiveSubscriptions) -> Filter {
        Filter {
            subscription: self.subscription.clone(),
            active: active.clone(),
            reason: self.reason,
            status_classes: self.status.clone(),
            topic: self.topic.clone(),
            since: self.since,
            until: self.until,
            ..Filter::default()
        }
    }
}
