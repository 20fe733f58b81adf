//! The errors that every route may return, added to the OpenAPI document in one place.

use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use crate::problem::{Kind, MEDIA_TYPE, is_decnets};

/// The errors of a route that requires a credential.
const GUARDED: &[u16] = &[401, 403, 408, 429, 503, 504];
/// The errors of a route with a body.
const WITH_BODY: &[u16] = &[400, 413, 415, 422, 501];
/// The errors of a route with a parameter in its path.
const IN_PATH: &[u16] = &[400, 404];
/// The errors of a route with query parameters.
const IN_QUERY: &[u16] = &[422];

/// Adds the errors to an operation, in the format of its path.
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
    for kind in Kind::ALL {
        let status = kind.status.as_u16();
        if groups.iter().any(|(applies, statuses)| *applies && statuses.contains(&status)) {
            let responses = operation.responses.responses.entry(status.to_string());
            responses.or_insert_with(|| RefOr::T(response(&kind, is_decnets(path))));
        }
    }
}

fn response(kind: &Kind, is_decnets: bool) -> Response {
    let (media_type, schema) =
        if is_decnets { ("application/json", "Detail") } else { (MEDIA_TYPE, "Problem") };
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
    ResponseBuilder::new().description(kind.title).content(media_type, content).build()
}
