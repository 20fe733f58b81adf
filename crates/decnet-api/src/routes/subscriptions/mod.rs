//! Subscriptions with all of their settings.

mod create;
mod patch;
mod preview;
mod reply;
mod settings;
mod test;
mod version;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use decnet_core::duration;
use decnet_core::limits::DEFAULT_SECRET_OVERLAP;
use decnet_core::redact::Secret;
use decnet_core::subscription::{check_new_name, check_secret_form};
use decnet_store::catalog::{Catalog, Patch, Row, StoredSubscription, generate_secret};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use self::create::NewSubscription;
use self::patch::SubscriptionPatch;
pub(crate) use self::reply::state as state_name;
use self::reply::{Deleted, Subscription, SubscriptionWithSecret, Subscriptions};
use self::version::Expected;
pub(crate) use self::version::version;
use super::pagination::{self, PageParams};
use super::{Reply, Routes, receiver};
use crate::auth::{Principal, Scope};
use crate::body::Body;
use crate::problem::Problem;
use crate::query::Params;
use crate::state::{Changed, Shared, now};

/// The header with the version of a subscription.
type Version = [(HeaderName, HeaderValue); 1];

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .guarded(Scope::Read, routes!(list))
        .guarded(Scope::Admin, routes!(create))
        .guarded(Scope::Admin, routes!(preview::preview))
        .guarded(Scope::Read, routes!(get))
        .guarded(Scope::Admin, routes!(update, delete))
        .guarded(Scope::Admin, routes!(enable))
        .guarded(Scope::Admin, routes!(disable))
        .guarded(Scope::Admin, routes!(pause))
        .guarded(Scope::Admin, routes!(resume))
        .guarded(Scope::Admin, routes!(rotate_secret))
        .guarded(Scope::Admin, routes!(revoke_old_secrets))
        .guarded(Scope::Admin, routes!(test::test))
}

/// Lists subscriptions in pages, in the order of creation.
#[utoipa::path(get, path = "/api/v1/subscriptions", tag = "subscriptions", operation_id = "list_subscriptions",
    params(PageParams), responses((status = 200, body = Subscriptions)))]
async fn list(State(state): State<Shared>, Params(params): Params<PageParams>) -> Reply<Subscriptions> {
    let limit = pagination::limit(params.limit)?;
    let after = params.cursor.as_deref().map_or(Ok(0), |cursor| pagination::parse_cursor('s', cursor))?;
    let page = state.catalog.run(move |catalog| catalog.page(after, limit)).await?;
    let is_full = page.len() == limit as usize;
    let next = page.last().filter(|_| is_full).map(|(row_id, _)| format!("s{row_id}"));
    Ok(Json(Subscriptions { subscriptions: page.into_iter().map(|(_, row)| row.into()).collect(), next }))
}

/// Creates a subscription. A generated secret is shown only in this response.
#[utoipa::path(post, path = "/api/v1/subscriptions", tag = "subscriptions", operation_id = "create_subscription",
    request_body = NewSubscription,
    responses(
        (status = 201, body = SubscriptionWithSecret),
        (status = 409, description = "The name is taken"),
    ))]
async fn create(
    State(state): State<Shared>,
    Extension(requester): Extension<Principal>,
    Body(new): Body<NewSubscription>,
) -> Result<(StatusCode, Json<SubscriptionWithSecret>), Problem> {
    let (new, generated) = new.read()?;
    receiver::check_url(&state, &new.url).await?;
    receiver::check_credentials(&state, &new.settings.credentials)?;
    let created = change(&state, &requester, move |catalog| Ok(catalog.create(&new, now())?));
    let row = created.await?;
    Ok((StatusCode::CREATED, Json(SubscriptionWithSecret { subscription: row.into(), secret: generated })))
}

/// Returns a subscription.
#[utoipa::path(get, path = "/api/v1/subscriptions/{uuid}", tag = "subscriptions", operation_id = "get_subscription",
    params(("uuid" = String, Path)),
    responses((status = 200, body = Subscription, headers(("etag" = String, description = "Version for `if-match`")))))]
async fn get(
    State(state): State<Shared>,
    Path(uuid): Path<String>,
) -> Result<(Version, Json<Subscription>), Problem> {
    let (row, _) = state.catalog.run(move |catalog| found(catalog, &uuid)).await?;
    Ok((version::header(&row), Json(row.into())))
}

/// Changes a subscription by a JSON merge patch (RFC 7396). Absent fields are kept; a null setting is reset to its default. With
/// `if-match`, nothing is changed if another change came first.
#[utoipa::path(patch, path = "/api/v1/subscriptions/{uuid}", tag = "subscriptions", operation_id = "update_subscription",
    params(("uuid" = String, Path), ("if-match" = Option<String>, Header, description = "Version that the change is based on")),
    request_body(content((SubscriptionPatch = "application/json"), (SubscriptionPatch = "application/merge-patch+json"))),
    responses(
        (status = 200, body = Subscription),
        (status = 409, description = "The name is taken"),
        (status = 412, description = "The subscription was changed in the meantime"),
    ))]
async fn update(
    State(state): State<Shared>,
    Extension(requester): Extension<Principal>,
    Path(uuid): Path<String>,
    headers: HeaderMap,
    Body(patch): Body<SubscriptionPatch>,
) -> Reply<Subscription> {
    let patch = patch.read()?;
    if let Some(url) = &patch.url {
        receiver::check_url(&state, url).await?;
    }
    receiver::check_credentials(&state, &patch.settings.new_credentials())?;
    apply(&state, &requester, uuid, patch, Expected::of(&headers)).await
}

/// Deletes a subscription. Deliveries that wait for it become dead.
#[utoipa::path(delete, path = "/api/v1/subscriptions/{uuid}", tag = "subscriptions", operation_id = "delete_subscription",
    params(("uuid" = String, Path)),
    responses(
        (status = 200, body = Deleted, description = "Deleted, with warnings"),
        (status = 204, description = "Deleted"),
    ))]
async fn delete(
    State(state): State<Shared>,
    Extension(requester): Extension<Principal>,
    Path(uuid): Path<String>,
) -> Result<Response, Problem> {
    let deleted = state.change_catalog(&requester, move |catalog| catalog.delete(&uuid, now()));
    let Changed { warnings, .. } = deleted.await?;
    Ok(match warnings.is_empty() {
        true => StatusCode::NO_CONTENT.into_response(),
        false => Json(Deleted { warnings }).into_response(),
    })
}

/// Enables a subscription and resets its circuit breaker. Parked deliveries are sent.
#[utoipa::path(post, path = "/api/v1/subscriptions/{uuid}/enable", tag = "subscriptions", operation_id = "enable_subscription",
    params(("uuid" = String, Path)), responses((status = 200, body = Subscription)))]
async fn enable(
    State(state): State<Shared>,
    Extension(requester): Extension<Principal>,
    Path(uuid): Path<String>,
) -> Reply<Subscription> {
    apply(&state, &requester, uuid, Patch { enabled: Some(true), ..Patch::default() }, Expected::default())
        .await
}

/// Disables a subscription: new events skip it, and waiting deliveries are parked.
#[utoipa::path(post, path = "/api/v1/subscriptions/{uuid}/disable", tag = "subscriptions", operation_id = "disable_subscription",
    params(("uuid" = String, Path)), responses((status = 200, body = Subscription)))]
async fn disable(
    State(state): State<Shared>,
    Extension(requester): Extension<Principal>,
    Path(uuid): Path<String>,
) -> Reply<Subscription> {
    apply(&state, &requester, uuid, Patch { enabled: Some(false), ..Patch::default() }, Expected::default())
        .await
}

/// Pauses a subscription: new events are accepted for it and wait with its other deliveries.
#[utoipa::path(post, path = "/api/v1/subscriptions/{uuid}/pause", tag = "subscriptions", operation_id = "pause_subscription",
    params(("uuid" = String, Path)), responses((status = 200, body = Subscription)))]
async fn pause(
    State(state): State<Shared>,
    Extension(requester): Extension<Principal>,
    Path(uuid): Path<String>,
) -> Reply<Subscription> {
    apply(&state, &requester, uuid, Patch { paused: Some(true), ..Patch::default() }, Expected::default())
        .await
}

/// Resumes a paused subscription. Waiting deliveries are sent.
#[utoipa::path(post, path = "/api/v1/subscriptions/{uuid}/resume", tag = "subscriptions", operation_id = "resume_subscription",
    params(("uuid" = String, Path)), responses((status = 200, body = Subscription)))]
async fn resume(
    State(state): State<Shared>,
    Extension(requester): Extension<Principal>,
    Path(uuid): Path<String>,
) -> Reply<Subscription> {
    apply(&state, &requester, uuid, Patch { paused: Some(false), ..Patch::default() }, Expected::default())
        .await
}

/// The replacement of a secret.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Rotation {
    /// New secret; generated if absent.
    #[schema(min_length = 16, max_length = 256)]
    secret: Option<String>,
    /// Time for which requests are also signed with the old secret, up to 30 days; with `0s`, only the new secret is used.
    #[schema(default = "1d", example = "2h")]
    overlap: Option<String>,
}

/// Replaces a subscription's secret. During the overlap every request carries both signatures, so that the receiver can switch at
/// any time.
#[utoipa::path(post, path = "/api/v1/subscriptions/{uuid}/rotate-secret", tag = "subscriptions", operation_id = "rotate_secret",
    params(("uuid" = String, Path)), request_body = Rotation,
    responses(
        (status = 200, body = SubscriptionWithSecret),
        (status = 409, description = "The secret is the current secret, or too many old secrets still sign"),
    ))]
async fn rotate_secret(
    State(state): State<Shared>,
    Extension(requester): Extension<Principal>,
    Path(uuid): Path<String>,
    Body(rotation): Body<Rotation>,
) -> Reply<SubscriptionWithSecret> {
    let overlap = match rotation.overlap.as_deref() {
        None => DEFAULT_SECRET_OVERLAP,
        Some(text) => duration::parse(text)
            .ok_or_else(|| Problem::invalid("overlap: must be a duration like 30m, 2h or 1d"))?,
    };
    rotation.secret.as_deref().map_or(Ok(()), check_secret_form)?;
    let generated = rotation.secret.is_none().then(generate_secret);
    let secret = Secret::new(rotation.secret.or_else(|| generated.clone()).unwrap_or_default());
    let row = change(&state, &requester, move |catalog| {
        catalog.rotate_secret(&uuid, &secret, overlap, now())?;
        Ok(uuid)
    })
    .await?;
    Ok(Json(SubscriptionWithSecret { subscription: row.into(), secret: generated }))
}

/// Ends the overlap of replaced secrets: only the newest secret signs from now on. Without an overlap, nothing changes.
#[utoipa::path(post, path = "/api/v1/subscriptions/{uuid}/revoke-old-secrets", tag = "subscriptions", operation_id = "revoke_old_secrets",
    params(("uuid" = String, Path)), responses((status = 200, body = Subscription)))]
async fn revoke_old_secrets(
    State(state): State<Shared>,
    Extension(requester): Extension<Principal>,
    Path(uuid): Path<String>,
) -> Reply<Subscription> {
    let row = change(&state, &requester, move |catalog| {
        catalog.revoke_old_secrets(&uuid, now())?;
        Ok(uuid)
    });
    Ok(Json(row.await?.into()))
}

async fn apply(
    state: &Shared,
    requester: &Principal,
    uuid: String,
    patch: Patch,
    expected: Expected,
) -> Reply<Subscription> {
    let row = change(state, requester, move |catalog| {
        let (current, _) = found(catalog, &uuid)?;
        expected.check(&current)?;
        // The current name is not checked: DECNET's route may have accepted a name that this route rejects.
        if let Some(name) = patch.name.as_ref().filter(|name| **name != current.name) {
            check_new_name(name)?;
        }
        catalog.update(&uuid, &patch, now())?;
        Ok(uuid)
    });
    Ok(Json(row.await?.into()))
}

/// Changes the catalog as `requester`, notifies the worker, and returns the row whose UUID `work` returns, with the warnings about the change.
pub(super) async fn change(
    state: &Shared,
    requester: &Principal,
    work: impl FnOnce(&mut Catalog) -> Result<String, Problem> + Send + 'static,
) -> Result<Row, Problem> {
    let changed = state.change_catalog(requester, move |catalog| {
        let uuid = work(catalog)?;
        // The change stands even if the row cannot be read.
        Ok::<_, Problem>(found(catalog, &uuid))
    });
    let Changed { value, warnings } = changed.await?;
    let (mut row, _) = value?;
    row.warnings.extend(warnings);
    Ok(row)
}

pub(crate) fn found(catalog: &Catalog, uuid: &str) -> Result<(Row, Option<StoredSubscription>), Problem> {
    catalog.get(uuid)?.ok_or_else(|| Problem::not_found("subscription not found"))
}
