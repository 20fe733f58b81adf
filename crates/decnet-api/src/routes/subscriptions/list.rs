//! The query of a subscription list.

use decnet_core::limits::MAX_API_PAGE_ROWS;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::problem::Problem;

/// The default page size.
const PAGE: u32 = 100;

/// The page of a subscription list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Maximum number of subscriptions.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// The `next` of the previous page.
    cursor: Option<String>,
}

impl ListParams {
    /// Returns the row after which the page begins, and the maximum number of its rows.
    pub(super) fn read(&self) -> Result<(i64, u32), Problem> {
        let limit = self.limit.unwrap_or(PAGE);
        if !(1..=MAX_API_PAGE_ROWS).contains(&(limit as usize)) {
            return Err(Problem::invalid(format!("limit: must be from 1 to {MAX_API_PAGE_ROWS}")));
        }
        Ok((self.cursor.as_deref().map_or(Ok(0), row_id)?, limit))
    }
}

fn row_id(cursor: &str) -> Result<i64, Problem> {
    let row_id = cursor.strip_prefix('s').and_then(|row_id| row_id.parse().ok());
    row_id.ok_or_else(|| Problem::invalid("cursor: must be the `next` of a previous page"))
}
