//! The filter and the page of the audit list.

use decnet_store::catalog::AuditFilter;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::problem::Problem;
use crate::routes::deliveries::time;
use crate::routes::pagination;

/// The filter and the page. An entry must match all given conditions.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditParams {
    /// Id or name of the actor: a token, a user of DECNET, or a uid of the host.
    actor: Option<String>,
    /// UUID of the subscription, or its name at the time of the change.
    subscription: Option<String>,
    /// Earliest time.
    #[param(format = "date-time")]
    since: Option<String>,
    /// Maximum number of entries in the page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// The `next` of the previous page.
    cursor: Option<String>,
}

impl AuditParams {
    pub(super) fn filter(self) -> Result<AuditFilter, Problem> {
        let Self { actor, subscription, since, limit, cursor } = self;
        Ok(AuditFilter {
            before: cursor.as_deref().map(|cursor| pagination::parse_cursor('a', cursor)).transpose()?,
            since: since.as_deref().map(|since| time("since", since)).transpose()?,
            actor,
            subscription,
            limit: pagination::limit(limit)?,
        })
    }
}
