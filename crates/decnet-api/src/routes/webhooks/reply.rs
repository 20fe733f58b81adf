//! The responses of DECNET's routes.

use decnet_core::subscription::check_new_name;
use decnet_core::time::UnixMicros;
use decnet_store::catalog::Row;
use serde::Serialize;
use utoipa::ToSchema;

/// A subscription, without its secret. Times are UTC without a zone, as in DECNET's tables.
#[derive(Serialize, ToSchema)]
pub(super) struct Webhook {
    uuid: String,
    name: String,
    url: String,
    topic_patterns: Vec<String>,
    enabled: bool,
    /// Number of deliveries that failed in a row.
    consecutive_failures: u32,
    #[schema(example = "2026-11-23T14:25:00.424839")]
    last_success_at: Option<String>,
    last_failure_at: Option<String>,
    last_error: Option<String>,
    /// Time at which failures disabled the subscription, if they did.
    auto_disabled_at: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
    /// Warnings, such as `insecure_url: …`.
    warnings: Vec<String>,
}

/// A new subscription with its secret, which no other response contains.
#[derive(Serialize, ToSchema)]
pub(super) struct CreatedWebhook {
    #[serde(flatten)]
    pub(super) webhook: Webhook,
    /// Secret that signs the requests of the subscription.
    pub(super) secret: String,
}

/// A confirmation.
#[derive(Serialize, ToSchema)]
pub(super) struct Message {
    #[schema(example = "Webhook deleted")]
    pub(super) message: &'static str,
    /// Reasons why the subscription may receive events for up to a minute; absent if there are none, as in DECNET.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) warnings: Vec<String>,
}

impl From<Row> for Webhook {
    fn from(row: Row) -> Self {
        // DECNET accepts such names, and its routes must too.
        let name = check_new_name(&row.name).err().map(|problem| problem.to_string());
        let warnings = insecure(&row.url).into_iter().chain(name).chain(row.problem).chain(row.warnings);
        Self {
            warnings: warnings.collect(),
            uuid: row.uuid,
            name: row.name,
            url: row.url,
            topic_patterns: row.topic_patterns,
            enabled: row.enabled,
            consecutive_failures: row.consecutive_failures,
            last_success_at: naive(row.last_success_at),
            last_failure_at: naive(row.last_failure_at),
            last_error: row.last_error,
            auto_disabled_at: naive(row.auto_disabled_at),
            created_at: naive(row.created_at),
            updated_at: naive(row.updated_at),
        }
    }
}

fn insecure(url: &str) -> Option<String> {
    let is_plain = url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:"));
    let what = "insecure_url: events are sent in clear text; use https://, unless you trust every host on that network";
    is_plain.then(|| what.to_owned())
}

/// Formats a time as Python's `isoformat` formats DECNET's columns, without a zone.
fn naive(at: Option<UnixMicros>) -> Option<String> {
    at.map(|at| at.to_iso8601().trim_end_matches("+00:00").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_no_zone_and_a_fraction_only_if_needed() {
        let text = |micros| naive(Some(UnixMicros(micros)));
        assert_eq!(text(1_776_988_800_000_000).as_deref(), Some("2026-04-24T00:00:00"));
        assert_eq!(text(1_776_988_800_424_839).as_deref(), Some("2026-04-24T00:00:00.424839"));
        assert_eq!(naive(None), None);
    }

    #[test]
    fn only_unencrypted_urls_cause_a_warning() {
        assert!(insecure("HTTP://a.example/").is_some_and(|warning| warning.starts_with("insecure_url")));
        assert_eq!(insecure("https://a.example/"), None);
        assert_eq!(insecure("ä"), None);
    }
}
