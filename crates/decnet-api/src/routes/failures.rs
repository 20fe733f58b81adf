//! The errors that every route may return, added to the OpenAPI document in one place.

use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use crate::problem::{Kind, MEDIA_TYPE};

/// The errors of a route that requires a credential.
const GUARDED: [Kind; 6] =
    [Kind::Unauthenticated, Kind::Forbidden, Kind::TooMany, Kind::Timeout, Kind::Unavailable, Kind::Overdue];
/// The errors of a route with a body.
const WITH_BODY: [Kind; 5] =
    [Kind::Malformed, Kind::TooLarge, Kind::UnsupportedMediaType, Kind::Invalid, Kind::NotImplemented];

/// Adds the errors to an operation, in the format of its path.
pub(super) fn describe(path: &str, operation: &mut Operation, is_guarded: bool) {
    let is_decnets = crate::problem::is_decnets(path);
    let parameters = operation.parameters.iter().flatten();
    let (mut in_path, mut in_query) = (false, false);
    for parameter in parameters {
        let RefOr::T(parameter) = parameter else { continue };
        in_path |= parameter.parameter_in == ParameterIn::Path;
        in_query |= parameter.parameter_in == ParameterIn::Query;
    }
    let with_body = operation.request_body.is_some();
    let kinds = GUARDED.into_iter().filter(|_| is_guarded).chain(WITH_BODY.into_iter().filter(|_| with_body));
    let kinds = kinds.chain(in_path.then_some(Kind::Malformed)).chain(in_query.then_some(Kind::Invalid));
    for kind in kinds.chain(in_path.then_some(Kind::NotFound)) {
        let status = kind.status().as_u16().to_string();
        let responses = &mut operation.responses.responses;
        responses.entry(status).or_insert_with(|| RefOr::T(response(kind, is_decnets)));
    }
}

fn response(kind: Kind, is_decnets: bool) -> Response {
    let (media_type, schema) =
        if is_decnets { ("application/json", "Detail") } else { (MEDIA_TYPE, "Problem") };
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
    ResponseBuilder::new().description(kind.title()).content(media_type, content).build()
}
