//! The OpenAPI document, generated from the registered routes.

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder};

use crate::problem::{DecnetDetail, Details};
use crate::routes;
use crate::state::Shared;

/// The name of the bearer token scheme in the document.
pub(crate) const BEARER: &str = "token";

const DESCRIPTION: &str = "Subscriptions, events and deliveries of a durable webhook dispatcher.\n\n\
    All requests except those for health and documentation need a token: `Authorization: Bearer …`. A token has scopes: \
    `read` reads, `publish` submits events, `admin` allows everything.\n\n\
    Times are ISO 8601 in UTC. Errors are problem details (RFC 9457), except below `/api/v1/webhooks`, DECNET's own \
    routes, where they are `{\"detail\": …}`. Unknown fields are rejected by name; DECNET's routes ignore them.";

const TAGS: [(&str, &str); 7] = [
    (
        "events",
        "Submit events, list their topics, and explain why an event did or did not reach a subscription.",
    ),
    ("subscriptions", "Manage subscriptions and their settings."),
    ("deliveries", "List deliveries and their attempts, and redeliver events."),
    ("erasures", "Erase the contents of events."),
    ("access", "Manage API tokens, and list who changed what."),
    ("webhooks", "DECNET's own routes, for its pages and scripts."),
    ("system", "Health, readiness, version and metrics."),
];

/// Returns the OpenAPI document as JSON, as it is served and kept in docs/openapi.json.
#[must_use]
pub fn document_json() -> String {
    json(&routes::all().split().1)
}

fn json(document: &OpenApi) -> String {
    document.to_pretty_json().expect("a document of plain values") + "\n"
}

/// Returns the document without its routes.
pub(crate) fn frame() -> OpenApi {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    let components = ComponentsBuilder::new()
        .schema_from::<Details>()
        .schema_from::<DecnetDetail>()
        .security_scheme(BEARER, SecurityScheme::Http(bearer));
    let info = InfoBuilder::new().title("decnet").version(env!("CARGO_PKG_VERSION"));
    let tag = |(name, text)| TagBuilder::new().name(name).description(Some(text)).build();
    OpenApiBuilder::new()
        .info(info.description(Some(DESCRIPTION)).build())
        .components(Some(components.build()))
        .tags(Some(TAGS.map(tag)))
        .build()
}

/// Adds the document itself to the router.
pub(crate) fn serve(router: Router<Shared>, document: &OpenApi) -> Router<Shared> {
    let json = Bytes::from(json(document));
    router.route("/openapi.json", get(([(CONTENT_TYPE, "application/json")], json)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        let regenerate = "run `cargo run -- docs openapi > docs/openapi.json`";
        assert!(kept == document_json(), "docs/openapi.json is stale: {regenerate}");
    }

    #[test]
    fn every_operation_has_a_unique_name_a_summary_and_a_tag() {
        let (_, document) = routes::all().split();
        let mut names = std::collections::BTreeSet::new();
        for (path, item) in &document.paths.paths {
            let operations = [&item.get, &item.post, &item.put, &item.patch, &item.delete];
            for operation in operations.into_iter().flatten() {
                let name = operation.operation_id.as_deref().unwrap_or_default();
                assert!(names.insert(name), "{path}: {name} occurs twice");
                assert!(operation.summary.is_some(), "{path}: {name} has no summary");
                let tag = operation.tags.iter().flatten().next().map(String::as_str);
                assert!(TAGS.iter().any(|(known, _)| Some(*known) == tag), "{path}: {name} has no known tag");
            }
        }
        assert!(names.len() > 20);
    }
}
