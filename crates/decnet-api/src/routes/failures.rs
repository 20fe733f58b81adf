//! The errors that every route may return, added to the OpenAPI document in one place.

use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response};

use crate::problem::{Kind, MEDIA_TYPE, is_decnets};

/// The errors of a route that requires a credential.
const GUARDED: &[u16] = &[401, 403, 408, 429, 503, 504];
/// The errors of a route with a body.
const WITH_BODY: &[u16] = &[400, 413, 415, 422, 501];
/// The errors of a route with a parameter in its path.
const IN_PATH: &[u16] = &[400, 404];
/// The errors of a route with query parameters.
const IN_QUERY: &[u16] = &[422];

/// Adds the errors to an operation, and the format of its path to all errors without a body of their own.
pub(super) fn describe(path: &str, operation: &mut Operation, is_guarded: bool) {
    let has_parameter = |place: ParameterIn| {
        let mut parameters = operation.parameters.iter().flatten();
        parameters.any(|parameter| matches!(parameter, RefOr::T(found) if found.parameter_in == place))
    };
    let groups = [
        (is_guarded, GUARDED),
        (operation.request_body.is_some(), WITH_BODY),
        (has_parameter(ParameterIn::Path), IN_PATH),
        (has_parameter(ParameterIn::Query), IN_QUERY),
    ];
    let (media_type, schema) =
        if is_decnets(path) { ("application/json", "Detail") } else { (MEDIA_TYPE, "Problem") };
    let content = RefOr::T(ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build());
    let responses = &mut operation.responses.responses;
    for Kind { status, title, .. } in Kind::ALL {
        let code = status.as_u16();
        if groups.iter().any(|(applies, statuses)| *applies && statuses.contains(&code)) {
            responses.entry(code.to_string()).or_insert_with(|| RefOr::T(Response::new(title)));
        }
        if let Some(RefOr::T(response)) = responses.get_mut(&code.to_string())
            && response.content.is_empty()
        {
            response.content.insert(media_type.into(), content.clone());
        }
    }
}
