//! The routes, one file per resource. Each is registered together with its required scope, in one step that also writes it
//! into the OpenAPI document. There is no other way to register a route.

mod audit;
mod deliveries;
pub(crate) mod erasures;
mod events;
mod explain;
mod failures;
mod pagination;
mod receiver;
pub(crate) mod redeliveries;
mod subscriptions;
mod system;
mod tokens;
mod topics;
mod webhooks;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::{Json, Router};
use decnet_core::topic::Pattern;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::SecurityRequirement;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt as _};

pub(crate) use self::explain::Searches;
pub(crate) use self::subscriptions::{found, state_name, version};
pub(crate) use self::system::HEALTH;
pub(crate) use self::system::Readiness;
pub(crate) use self::topics::Topics;
use crate::auth::{self, Scope};
use crate::openapi::{self, BEARER};
use crate::problem::Problem;
use crate::state::Shared;

/// A response as JSON, or the problem that prevented it.
type Reply<T> = Result<Json<T>, Problem>;

/// Routes and the OpenAPI document that describes them.
pub(crate) struct Routes(OpenApiRouter<Shared>);

impl Routes {
    fn new() -> Self {
        Self(OpenApiRouter::with_openapi(openapi::frame()))
    }

    /// Adds routes that require a scope.
    pub(crate) fn guarded(self, scope: Scope, mut routes: UtoipaMethodRouter<Shared>) -> Self {
        document_scope(&mut routes, Some(scope));
        let guard = from_fn(move |context: auth::RequestContext, request: Request, next: Next| {
            auth::require(scope, context, request, next)
        });
        Self(self.0.routes(routes.layer(guard)))
    }

    /// Adds routes without authentication. They must reveal nothing that is not public.
    pub(crate) fn public(self, mut routes: UtoipaMethodRouter<Shared>) -> Self {
        document_scope(&mut routes, None);
        Self(self.0.routes(routes))
    }

    pub(crate) fn split(self) -> (Router<Shared>, OpenApi) {
        self.0.split_for_parts()
    }
}

/// Checks the topic of one event. The error names the field.
fn check_topic(topic: &str) -> Result<(), String> {
    if topic.contains(['*', '>']) {
        return Err(
            "topic: the characters `*` and `>` are not valid in a topic; patterns use them as wildcards"
                .into(),
        );
    }
    Pattern::new(topic).map(drop).map_err(|error| format!("topic: {error}"))
}

/// Writes the required scope of routes into the document.
fn document_scope(routes: &mut UtoipaMethodRouter<Shared>, scope: Option<Scope>) {
    let requirement = scope.map(|scope| SecurityRequirement::new(BEARER, [scope.as_str()]));
    for (path, item) in &mut routes.1.paths {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().filter_map(Option::as_mut) {
            operation.security = Some(requirement.clone().into_iter().collect());
            failures::describe(path, operation, scope.is_some());
        }
    }
}

/// Returns all routes.
pub(crate) fn all() -> Routes {
    let parts = [
        events::routes,
        explain::routes,
        topics::routes,
        subscriptions::routes,
        deliveries::routes,
        redeliveries::routes,
        erasures::routes,
        tokens::routes,
        audit::routes,
        webhooks::routes,
        system::routes,
        crate::metrics::routes,
        crate::traffic::routes,
    ];
    parts.into_iter().fold(Routes::new(), |routes, add| add(routes))
}
