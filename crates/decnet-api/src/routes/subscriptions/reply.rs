//! Subscriptions as JSON.

use decnet_core::settings::{RedactedSettings, Settings};
use decnet_core::subscription::Activity;
use decnet_core::time::UnixMicros;
use decnet_store::catalog::Row;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::settings::SettingsChange;
use crate::state::now;

/// A page of subscriptions.
#[derive(Serialize, ToSchema)]
pub(super) struct Subscriptions {
    pub(super) subscriptions: Vec<Subscription>,
    /// The `cursor` of the next page; null on the last page.
    pub(super) next: Option<String>,
}

/// A subscription, without its secrets.
#[derive(Serialize, ToSchema)]
pub(super) struct Subscription {
    uuid: String,
    name: String,
    /// Scheme, host and port of the receiver. The rest may be secret; DECNET's routes show it to an `admin`.
    #[schema(example = "https://siem.example/…")]
    url: String,
    topic_patterns: Vec<String>,
    /// `active`; `paused` by an operator; `tripped`: disabled after failures, probed and re-enabled automatically; `gone`: its
    /// receiver answered 410, and it remains disabled until an operator enables it; `disabled` by an operator; `held`: deliveries
    /// wait, because its filter, format, template, headers or credentials cannot be used, see `problem`; `broken`: see `problem`.
    #[schema(example = "active")]
    state: &'static str,
    enabled: bool,
    paused: bool,
    /// Number of deliveries that failed in a row.
    consecutive_failures: u32,
    last_success_at: Option<String>,
    last_failure_at: Option<String>,
    last_error: Option<String>,
    /// Time at which failures disabled the subscription, if they did.
    auto_disabled_at: Option<String>,
    /// Time until which the receiver has asked not to be sent requests (`Retry-After`); `enable` cancels the delay.
    deferred_until: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
    /// Settings that differ from the defaults; the values of headers and the secrets of credentials are `[secret]`, and
    /// certificates are counted.
    #[serde(serialize_with = "shown")]
    #[schema(value_type = SettingsChange)]
    settings: Settings,
    /// For each replaced secret, the time until which requests are also signed with it, newest first.
    old_secrets_until: Vec<String>,
    /// Reason why nothing can be delivered to the subscription, if any.
    problem: Option<String>,
    /// Other problems of the subscription, and of the change that this response confirms.
    warnings: Vec<String>,
}

/// The deletion of a subscription that may still receive events.
#[derive(Serialize, ToSchema)]
pub(super) struct Deleted {
    /// Reasons why the subscription may receive events for up to a minute.
    pub(super) warnings: Vec<String>,
}

/// A subscription that is new or has a new secret.
#[derive(Serialize, ToSchema)]
pub(super) struct SubscriptionWithSecret {
    #[serde(flatten)]
    pub(super) subscription: Subscription,
    /// Generated secret, shown only in this response; null if the request contained a secret.
    pub(super) secret: Option<String>,
}

impl From<Row> for Subscription {
    fn from(row: Row) -> Self {
        let at = |at: Option<UnixMicros>| at.map(UnixMicros::to_iso8601);
        Self {
            url: row.redacted_url(),
            state: state(&row),
            uuid: row.uuid,
            name: row.name,
            topic_patterns: row.topic_patterns,
            enabled: row.enabled,
            paused: row.paused,
            consecutive_failures: row.consecutive_failures,
            last_success_at: at(row.last_success_at),
            last_failure_at: at(row.last_failure_at),
            last_error: row.last_error,
            auto_disabled_at: at(row.auto_disabled_at),
            deferred_until: at(row.deferred_until.filter(|until| *until > now())),
            created_at: at(row.created_at),
            updated_at: at(row.updated_at),
            settings: row.settings,
            old_secrets_until: row.old_secrets_until.into_iter().map(UnixMicros::to_iso8601).collect(),
            problem: row.problem,
            warnings: row.warnings,
        }
    }
}

/// Returns the name of a subscription's state.
pub(crate) fn state(row: &Row) -> &'static str {
    match row.activity {
        _ if row.is_held => "held",
        _ if row.problem.is_some() => "broken",
        Activity::Disabled => "disabled",
        Activity::Tripped if row.gone => "gone",
        Activity::Tripped => "tripped",
        Activity::Active if row.paused => "paused",
        Activity::Active => "active",
    }
}

fn shown<S: Serializer>(settings: &Settings, serializer: S) -> Result<S::Ok, S::Error> {
    RedactedSettings(settings).serialize(serializer)
}
