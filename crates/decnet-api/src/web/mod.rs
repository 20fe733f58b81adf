//! The dashboard: pages for people, in the same process and on the same port as the API.
//!
//! A page reads and changes everything through the routes of the API, which it calls without a network ([`api`]), with the
//! credential of its session: the same checks of scopes and values apply, and a revoked token ends its sessions at once. Only
//! the counts of all deliveries have no route; they are shared by all pages ([`snapshot`]).
//!
//! In the order of a request:
//!
//! - [`guard`]: the names under which the dashboard is served, the origin of each change, and the content security policy;
//! - [`sessions`]: the sessions, in memory only;
//! - [`visitor`]: the session of a request and its form token;
//! - [`reply`]: pages as responses, errors as pages;
//! - [`live`]: open pages are refreshed over streams;
//! - `login`, `overview`, `subscriptions` with `subscription_order`, `subscription`, `form`, `test`, `deliveries`, `events`, `failures`,
//!   `explain`, `access`, `audit`: one file per screen.

mod access;
mod api;
mod audit;
mod deliveries;
mod events;
mod explain;
mod failures;
mod form;
mod guard;
mod live;
mod login;
mod overview;
mod reply;
mod sessions;
mod snapshot;
mod subscription;
mod subscription_order;
mod subscriptions;
mod test;
mod visitor;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use decnet_core::limits::MAX_DASHBOARD_FORM_BYTES;
use decnet_web::assets;

use self::api::ApiRoutes;
use self::guard::Origins;
use self::sessions::Sessions;
use self::snapshot::Snapshots;
use crate::state::Shared;

/// The state that all pages share.
struct Dashboard {
    state: Shared,
    api: ApiRoutes,
    sessions: Sessions,
    snapshots: Snapshots,
    origins: Origins,
}

type SharedDashboard = Arc<Dashboard>;

/// Adds the pages to the routes of the API. `origins` are those of proxies.
pub(crate) fn serve(router: Router<Shared>, state: &Shared, origins: Vec<String>) -> Router<Shared> {
    let dashboard = Arc::new(Dashboard {
        state: Arc::clone(state),
        api: ApiRoutes::new(router.clone(), state),
        sessions: Sessions::default(),
        snapshots: Snapshots::default(),
        origins: Origins::new(origins),
    });
    // Only around these routes: other paths belong to the API.
    let pages = pages()
        .merge(live::routes(pages().with_state(Arc::clone(&dashboard))))
        .route_layer(DefaultBodyLimit::max(MAX_DASHBOARD_FORM_BYTES))
        .route_layer(from_fn_with_state(Arc::clone(&dashboard), guard::protect))
        .with_state(dashboard);
    router.merge(static_files()).merge(pages)
}

fn pages() -> Router<SharedDashboard> {
    Router::new()
        .route("/", get(overview::page))
        .route("/login", get(login::form).post(login::log_in))
        .route("/logout", post(login::log_out))
        .route("/subscriptions", get(subscriptions::page))
        .route("/subscriptions/names", get(subscriptions::suggest))
        .route("/subscriptions/new", get(form::new).post(form::create))
        .route("/subscriptions/preview", post(form::preview))
        .route("/subscriptions/{uuid}", get(subscription::page))
        .route("/subscriptions/{uuid}/edit", get(form::edit).post(form::change))
        .route("/subscriptions/{uuid}/delete", get(subscription::confirm).post(subscription::delete))
        .route("/subscriptions/{uuid}/rotate-secret", post(subscription::rotate_secret))
        .route("/subscriptions/{uuid}/test", get(test::page).post(test::send))
        .route("/subscriptions/{uuid}/{action}", post(subscription::change))
        .route("/deliveries", get(deliveries::list))
        .route("/deliveries/{id}", get(deliveries::page))
        .route("/deliveries/{id}/redeliver", post(deliveries::redeliver))
        .route("/events", get(events::page))
        .route("/failures", get(failures::page))
        .route("/redeliveries", post(failures::start))
        .route("/redeliveries/preview", post(failures::count))
        .route("/redeliveries/{id}", get(failures::job))
        .route("/redeliveries/{id}/preview", get(failures::preview))
        .route("/redeliveries/{id}/cancel", post(failures::cancel))
        .route("/explain", get(explain::page))
        .route("/access", get(access::page))
        .route("/access/audit", get(audit::page))
        .route("/access/tokens", post(access::create))
        .route("/access/tokens/{id}/revoke", get(access::confirm).post(access::revoke))
        .route("/access/sessions/end-others", post(access::end_others))
        .route("/access/sessions/{handle}/end", post(access::end))
}

/// Returns the routes of the static files. They are public, and their names change with their content.
fn static_files() -> Router<Shared> {
    assets::all().iter().fold(Router::new(), |router, asset| {
        let headers =
            [(CONTENT_TYPE, asset.media_type), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
        router.route(&asset.path, get((headers, asset.body)))
    })
}
