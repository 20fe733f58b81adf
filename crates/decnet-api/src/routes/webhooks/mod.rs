//! DECNET's routes, for its pages and scripts: formats, statuses and messages are DECNET's.
//!
//! A field that is missing, of the wrong type or too short is a 400; any other error in a field is a 422. Unknown fields are
//! ignored. The order of the checks is DECNET's too: the body, the row, the name, the URL, the patterns.

mod fields;
mod reply;
mod request;

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use decnet_store::catalog::{Row, StoredSubscription};
use utoipa_axum::routes;

use self::fields::Fields;
use self::reply::{CreatedWebhook, Message, Webhook};
use self::request::{CreateWebhook, UpdateWebhook};
use super::receiver;
use super::subscriptions::{change, found};
use super::{Reply, Routes};
use crate::auth::{Network, Principal, Scope};
use crate::outbound::{TestEvent, Tested};
use crate::problem::Problem;
use crate::server::Peer;
use crate::state::{Shared, now};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .guarded(Scope::Admin, routes!(list, create))
        .guarded(Scope::Admin, routes!(get, update, delete))
        .guarded(Scope::Admin, routes!(test))
}

/// Lists all subscriptions, oldest first.
#[utoipa::path(get, path = "/api/v1/webhooks", tag = "webhooks", operation_id = "list_webhooks",
    responses((status = 200, body = Vec<Webhook>)))]
async fn list(State(state): State<Shared>) -> Reply<Vec<Webhook>> {
    let mut rows = state.catalog.run(|catalog| catalog.rows()).await?;
    rows.sort_by_key(|row| row.created_at);
    Ok(Json(rows.into_iter().map(Webhook::from).collect()))
}

/// Creates a subscription. Only this response contains its secret.
#[utoipa::path(post, path = "/api/v1/webhooks", tag = "webhooks", operation_id = "create_webhook",
    request_body = CreateWebhook,
    responses(
        (status = 201, body = CreatedWebhook),
        (status = 400, description = "A field is missing, of the wrong type or too short, or no pattern is given"),
        (status = 409, description = "The name is taken"),
        (status = 422, description = "Another field is invalid, or the URL leads to a forbidden address"),
    ))]
async fn create(
    State(state): State<Shared>,
    (Extension(peer), Extension(requester)): (Extension<Peer>, Extension<Principal>),
    fields: Fields,
) -> Result<(StatusCode, Json<CreatedWebhook>), Problem> {
    let new = request::create(&fields)?;
    if let Some(creations) = &state.creations {
        let rate = creations.count(Network::of(peer.0.ip()), Instant::now());
        rate.check("webhooks created from one address")?;
    }
    check_name(&state, &new.name, None).await?;
    receiver::check_url(&state, &new.url).await?;
    let secret = new.secret.expose().to_owned();
    let created = change(&state, &requester, move |catalog| Ok(catalog.create(&new, now())?));
    let row = created.await.map_err(as_webhook)?;
    Ok((StatusCode::CREATED, Json(CreatedWebhook { webhook: row.into(), secret })))
}

/// Returns a subscription.
#[utoipa::path(get, path = "/api/v1/webhooks/{uuid}", tag = "webhooks", operation_id = "get_webhook",
    params(("uuid" = String, Path)), responses((status = 200, body = Webhook)))]
async fn get(State(state): State<Shared>, Path(uuid): Path<String>) -> Reply<Webhook> {
    Ok(Json(row(&state, uuid).await?.0.into()))
}

/// Changes the given fields; an empty change returns the row unchanged.
#[utoipa::path(patch, path = "/api/v1/webhooks/{uuid}", tag = "webhooks", operation_id = "update_webhook",
    params(("uuid" = String, Path)), request_body = UpdateWebhook,
    responses(
        (status = 200, body = Webhook),
        (status = 400, description = "A field is of the wrong type or too short, or no pattern would remain"),
        (status = 409, description = "The name is taken"),
        (status = 422, description = "Another field is invalid, or the URL leads to a forbidden address"),
    ))]
async fn update(
    State(state): State<Shared>,
    Extension(requester): Extension<Principal>,
    Path(uuid): Path<String>,
    fields: Fields,
) -> Reply<Webhook> {
    let update = request::update(&fields)?;
    let (current, _) = row(&state, uuid.clone()).await?;
    if let Some(name) = &update.patch.name {
        check_name(&state, name, Some(&uuid)).await?;
    }
    if let Some(url) = &update.patch.url {
        receiver::check_url(&state, url).await?;
    }
    let patch = update.patch(&current.topic_patterns)?;
    if patch == Default::default() {
        return Ok(Json(current.into()));
    }
    let updated = change(&state, &requester, move |catalog| {
        catalog.update(&uuid, &patch, now())?;
        Ok(uuid)
    });
    Ok(Json(updated.await.map_err(as_webhook)?.into()))
}

/// Deletes a subscription.
#[utoipa::path(delete, path = "/api/v1/webhooks/{uuid}", tag = "webhooks", operation_id = "delete_webhook",
    params(("uuid" = String, Path)), responses((status = 200, body = Message)))]
async fn delete(
    State(state): State<Shared>,
    Extension(requester): Extension<Principal>,
    Path(uuid): Path<String>,
) -> Reply<Message> {
    let deleted = state.change_catalog(&requester, move |catalog| catalog.delete(&uuid, now()));
    let deleted = deleted.await.map_err(as_webhook)?;
    Ok(Json(Message { message: "Webhook deleted", warnings: deleted.warnings }))
}

/// Sends one test event with the topic `test.ping`, and returns the result.
#[utoipa::path(post, path = "/api/v1/webhooks/{uuid}/test", tag = "webhooks", operation_id = "test_webhook",
    params(("uuid" = String, Path)), responses((status = 200, body = Tested)))]
async fn test(
    State(state): State<Shared>,
    Extension(requester): Extension<Principal>,
    Path(uuid): Path<String>,
) -> Reply<Tested> {
    let ping = TestEvent::Ping(Arc::clone(&requester.name));
    Ok(Json(receiver::test(&state, row(&state, uuid).await?, ping).await.tested))
}

async fn row(state: &Shared, uuid: String) -> Result<(Row, Option<StoredSubscription>), Problem> {
    state.catalog.run(move |catalog| found(catalog, &uuid)).await.map_err(as_webhook)
}

/// Replaces the text of a 404 or 409 with the text that DECNET's API returns.
fn as_webhook(problem: Problem) -> Problem {
    match problem.status() {
        StatusCode::NOT_FOUND => Problem::not_found("Webhook not found"),
        StatusCode::CONFLICT => name_taken(),
        _ => problem,
    }
}

fn name_taken() -> Problem {
    Problem::new(StatusCode::CONFLICT, "Webhook name already exists")
}

/// Checks that a name is free or the subscription's own, before the URL is resolved. The write checks it again.
async fn check_name(state: &Shared, name: &str, own: Option<&str>) -> Result<(), Problem> {
    let name = name.to_owned();
    let owner = state.catalog.run(move |catalog| catalog.uuid_by_name(&name)).await?;
    if owner.is_some_and(|owner| Some(&*owner) != own) { Err(name_taken()) } else { Ok(()) }
}
