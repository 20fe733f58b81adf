//! Query parameters.

use std::error::Error as _;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::problem::Problem;
use crate::state::Shared;

/// The parameters of a query. Unknown parameters are rejected by name if `T` denies them.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Shared> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Result<Self, Problem> {
        let query = Query::from_request_parts(parts, state).await;
        query.map(|Query(params)| Self(params)).map_err(|rejection| {
            let cause = rejection.source().map_or_else(|| rejection.body_text(), ToString::to_string);
            Problem::invalid(format!("query: {cause}"))
        })
    }
}
