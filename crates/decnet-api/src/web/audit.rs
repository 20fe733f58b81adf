//! The audit list.

use std::fmt::Write as _;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use decnet_core::limits::DASHBOARD_PAGE_ROWS;
use decnet_web::audit::{AuditFilter, AuditPage, Entries};
use decnet_web::encode;

use super::SharedDashboard;
use super::reply::{self, PageReply, capitalized};
use super::visitor::Visitor;

/// Shows the entries that match the filter in the URL.
pub(super) async fn page(
    State(dashboard): State<SharedDashboard>,
    visitor: Visitor,
    Query(filter): Query<AuditFilter>,
) -> PageReply {
    let parameters: String =
        filter.parameters().map(|(name, value)| format!("&{name}={}", encode(value))).collect();
    let mut path = format!("/audit?limit={DASHBOARD_PAGE_ROWS}{parameters}");
    if !filter.cursor.is_empty() {
        let _ = write!(path, "&cursor={}", encode(&filter.cursor));
    }
    let (list, error) = match dashboard.api.get::<Entries>(&visitor, &path).await {
        Ok(list) => (list, None),
        Err(problem) if problem.status() == StatusCode::UNPROCESSABLE_ENTITY => {
            (Entries::default(), Some(capitalized(problem.detail())))
        }
        Err(problem) => return Err(problem),
    };
    let next =
        list.next.as_ref().map(|cursor| format!("/access/audit?cursor={}{parameters}", encode(cursor)));
    reply::page(&AuditPage { frame: visitor.into_frame(), filter, entries: list.entries, error, next })
}
