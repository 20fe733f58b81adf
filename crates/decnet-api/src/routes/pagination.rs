//! The size of a page, and its cursor: a letter for the kind of list, and the id of the last row of the previous page.

use std::str::FromStr;

use decnet_core::limits::MAX_API_PAGE_ROWS;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::problem::Problem;

/// The default number of rows in a page.
const DEFAULT_ROWS: u32 = 100;

/// The requested page of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageParams {
    /// Maximum number of rows in the page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub(super) limit: Option<u32>,
    /// The `next` of the previous page.
    pub(super) cursor: Option<String>,
}

/// Returns the number of rows in a page.
///
/// # Errors
/// The requested number is 0 or more than [`MAX_API_PAGE_ROWS`].
pub(super) fn limit(requested: Option<u32>) -> Result<u32, Problem> {
    let limit = requested.unwrap_or(DEFAULT_ROWS);
    if (1..=MAX_API_PAGE_ROWS).contains(&(limit as usize)) {
        return Ok(limit);
    }
    Err(Problem::invalid(format!("limit: must be from 1 to {MAX_API_PAGE_ROWS}")))
}

/// Returns the id in a cursor of this kind of list.
///
/// # Errors
/// The text is not a cursor of this kind of list.
pub(super) fn parse_cursor<T: FromStr>(kind: char, cursor: &str) -> Result<T, Problem> {
    let id = cursor.strip_prefix(kind).and_then(|id| id.parse().ok());
    id.ok_or_else(|| Problem::invalid("cursor: must be the `next` of a previous page"))
}

#[cfg(test)]
mod tests {
    use decnet_store::queue::DeliveryId;

    use super::*;

    #[test]
    fn only_cursors_of_the_same_list_are_accepted() {
        assert_eq!(parse_cursor::<DeliveryId>('d', "d1042.7").unwrap(), "1042.7".parse().unwrap());
        for bad in ["", "d", "s1042.7", "1042.7", "d1042", "äöü"] {
            assert!(parse_cursor::<DeliveryId>('d', bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn page_size_is_bounded() {
        assert_eq!((limit(None).unwrap(), limit(Some(1000)).unwrap()), (100, 1000));
        assert!(limit(Some(0)).is_err() && limit(Some(1001)).is_err());
    }
}
