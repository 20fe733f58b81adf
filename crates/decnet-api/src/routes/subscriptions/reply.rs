//! Subscriptions as they are shown.

use decnet_core::settings::{Settings, Shown};
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
    /// What the next page takes as `cursor`; null where there is none.
    pub(super) next: Option<String>,
}

/// A subscription, without any secret.
#[derive(Serialize, ToSchema)]
pub(super) struct Subscription {
    uuid: String,
    name: String,
    /// Its scheme, host and port. The rest may be a secret; DECNET's routes show it to an `admin`.
    #[schema(example = "https://siem.example/…")]
    url: String,
    topic_patterns: Vec<String>,
    /// `active`; `paused`: an operator holds everything back; `tripped`: after failures, it is probed and comes back by
    /// itself; `gone`: its receiver answered 410, and it stays until it is enabled; `disabled`: an operator's wish;
    /// `broken`: see `problem`.
    #[schema(example = "active")]
    state: &'static str,
    enabled: bool,
    paused: bool,
    /// Deliveries failed in a row.
    consecutive_failures: u32,
    last_success_at: Option<String>,
    last_failure_at: Option<String>,
    last_error: Option<String>,
    /// When failures disabled it, if they did.
    auto_disabled_at: Option<String>,
    /// Before then its receiver has asked to be sent nothing (`Retry-After`); `enable` lifts that.
    deferred_until: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
    /// What it asks for beyond that; the values of headers are `[secret]`.
    #[serde(serialize_with = "shown")]
    #[schema(value_type = SettingsChange)]
    settings: Settings,
    /// Until when each secret signs that was replaced, newest first.
    old_secrets_until: Vec<String>,
    /// Why nothing can be delivered to it, if so.
    problem: Option<String>,
    /// What else is wrong with it.
    warnings: Vec<String>,
}

/// A new subscription.
#[derive(Serialize, ToSchema)]
pub(super) struct Created {
    #[serde(flatten)]
    pub(super) subscription: Subscription,
    /// The secret that was made for it, this once; null where one was given.
    pub(super) secret: Option<String>,
}

/// A subscription with another secret.
#[derive(Serialize, ToSchema)]
pub(super) struct Rotated {
    #[serde(flatten)]
    pub(super) subscription: Subscription,
    /// The secret that was made for it, this once; null where one was given.
    pub(super) secret: Option<String>,
}

impl From<Row> for Subscription {
    fn from(row: Row) -> Self {
        let at = |at: Option<UnixMicros>| at.map(UnixMicros::to_iso8601);
        Self {
            url: row.shown_url(),
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

fn state(row: &Row) -> &'static str {
    match row.activity {
        _ if row.problem.is_some() => "broken",
        Activity::Disabled => "disabled",
        Activity::Tripped if row.gone => "gone",
        Activity::Tripped => "tripped",
        Activity::Active if row.paused => "paused",
        Activity::Active => "active",
    }
}

fn shown<S: Serializer>(settings: &Settings, serializer: S) -> Result<S::Ok, S::Error> {
    Shown(settings).serialize(serializer)
}
