//! Which subscriptions to list.

use decnet_core::limits::MAX_API_PAGE;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::problem::Problem;

/// Rows of a page where nobody says.
const PAGE: u32 = 100;

/// Which subscriptions to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// At most so many.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

impl ListParams {
    /// The place after which the page begins, and how many rows it has at most.
    pub(super) fn read(&self) -> Result<(i64, u32), Problem> {
        let limit = self.limit.unwrap_or(PAGE);
        if !(1..=MAX_API_PAGE).contains(&(limit as usize)) {
            return Err(Problem::invalid(format!("limit: is from 1 to {MAX_API_PAGE}")));
        }
        Ok((self.cursor.as_deref().map_or(Ok(0), place)?, limit))
    }
}

fn place(cursor: &str) -> Result<i64, Problem> {
    let place = cursor.strip_prefix('s').and_then(|place| place.parse().ok());
    place.ok_or_else(|| Problem::invalid("cursor: take it from `next` of the page before"))
}
