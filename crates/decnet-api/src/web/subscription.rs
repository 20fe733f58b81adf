//! One subscription, and its changes.

use axum::extract::{Path, State};
use axum::http::Method;
use decnet_core::health::estimated_probe;
use decnet_core::settings::RedactedSettings;
use decnet_store::catalog::Row;
use decnet_web::delivery::Deliveries;
use decnet_web::page::{DeletePage, SecretPage, SubscriptionPage};
use decnet_web::receiver::{Details, Receiver};
use decnet_web::{Text, Time, encode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::reply::{self, PageReply, capitalized};
use super::visitor::{Change, NoFields, Visitor};
use super::{SharedDashboard, snapshot};
use crate::problem::Problem;
use crate::routes::found;
use crate::state::now;

/// The number of recent deliveries on the page.
const RECENT: usize = 10;

pub(super) async fn page(
    State(dashboard): State<SharedDashboard>,
    visitor: Visitor,
    Path(uuid): Path<String>,
) -> PageReply {
    let (row, receiver) = read(&dashboard, uuid).await?;
    let recent = format!("/deliveries?limit={RECENT}&subscription={}", receiver.uuid.url());
    let recent = dashboard.api.get::<Deliveries>(&visitor, &recent).await;
    let recent = recent.map(|page| page.deliveries).unwrap_or_default();
    let details = details(row, receiver)?;
    reply::page(&SubscriptionPage { frame: visitor.into_frame(), details, recent })
}

/// Asks whether to delete.
pub(super) async fn confirm(
    State(dashboard): State<SharedDashboard>,
    visitor: Visitor,
    Path(uuid): Path<String>,
) -> PageReply {
    let (_, receiver) = read(&dashboard, uuid).await?;
    reply::page(&DeletePage { frame: visitor.into_frame(), receiver })
}

pub(super) async fn delete(
    State(dashboard): State<SharedDashboard>,
    Path(uuid): Path<String>,
    Change { visitor, .. }: Change<NoFields>,
) -> PageReply {
    let path = format!("/subscriptions/{}", encode(&uuid));
    let deleted: Value = dashboard.api.change(&visitor, Method::DELETE, &path, None).await?;
    dashboard.snapshots.invalidate().await;
    Ok(visitor.done("/subscriptions", format!("The subscription is deleted.{}", warnings(&deleted))))
}

/// Pauses, resumes, enables or disables.
pub(super) async fn change(
    State(dashboard): State<SharedDashboard>,
    Path((uuid, action)): Path<(String, String)>,
    Change { visitor, .. }: Change<NoFields>,
) -> PageReply {
    let text = match &*action {
        "pause" => "The subscription is paused: new events wait until it is resumed.",
        "resume" => "The subscription is resumed: waiting deliveries are sent.",
        "enable" => "The subscription is enabled: waiting deliveries are sent.",
        "disable" => "The subscription is disabled: new events skip it.",
        _ => return Err(Problem::not_found("there is no such action")),
    };
    let page = format!("/subscriptions/{}", encode(&uuid));
    let changed: Value =
        dashboard.api.change(&visitor, Method::POST, &format!("{page}/{action}"), None).await?;
    dashboard.snapshots.invalidate().await;
    Ok(visitor.done(&page, format!("{text}{}", warnings(&changed))))
}

/// The API's result of a rotation.
#[derive(Deserialize)]
struct Rotated {
    name: Text,
    secret: Option<String>,
    old_secrets_until: Vec<Time>,
}

/// Replaces the secret, and shows the new one in this response only.
pub(super) async fn rotate_secret(
    State(dashboard): State<SharedDashboard>,
    Path(uuid): Path<String>,
    Change { visitor, .. }: Change<NoFields>,
) -> PageReply {
    let path = format!("/subscriptions/{}/rotate-secret", encode(&uuid));
    let rotated: Rotated = dashboard.api.change(&visitor, Method::POST, &path, Some(json!({}))).await?;
    let Rotated { name, secret, old_secrets_until } = rotated;
    let (frame, secret) = (visitor.into_frame(), secret.unwrap_or_default());
    reply::page(&SecretPage { frame, uuid: uuid.into(), name, secret, old_secrets_until })
}

async fn read(dashboard: &SharedDashboard, uuid: String) -> Result<(Row, Receiver), Problem> {
    let (row, _) = dashboard.state.catalog.run(move |catalog| found(catalog, &uuid)).await?;
    let snapshot = dashboard.snapshots.get(&dashboard.state).await?;
    // The row is newer than the counts.
    let mut receiver = snapshot::receiver(&row, None, now());
    if let Some(counted) = snapshot.find(&row.uuid) {
        let Receiver { waiting, dead, delivered, oldest, .. } = counted.clone();
        receiver = Receiver { waiting, dead, delivered, oldest, ..receiver };
    }
    Ok((row, receiver))
}

fn details(row: Row, receiver: Receiver) -> Result<Details, Problem> {
    let tripped_at = row.auto_disabled_at.filter(|_| receiver.state == "tripped");
    let next_probe = tripped_at.map(|at| estimated_probe(at, row.last_failure_at.unwrap_or(at)));
    let settings = serde_json::to_value(RedactedSettings(&row.settings));
    let settings = settings.map_err(|error| Problem::internal("the settings cannot be shown", &error))?;
    Ok(Details {
        receiver,
        patterns: row.topic_patterns.into_iter().map(Text::from).collect(),
        settings: rows_of(&settings),
        warnings: row.warnings.into_iter().map(Text::from).collect(),
        deferred_until: row.deferred_until.filter(|until| *until > now()).map(Time::from),
        tripped_at: row.auto_disabled_at.map(Time::from),
        next_probe: next_probe.map(Time::from),
        old_secrets_until: row.old_secrets_until.into_iter().map(Time::from).collect(),
        created_at: row.created_at.map(Time::from),
        updated_at: row.updated_at.map(Time::from),
        is_paused: row.paused,
        is_enabled: row.enabled,
    })
}

/// Returns the settings as names and values.
fn rows_of(settings: &Value) -> Vec<(Text, Text)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let fields = settings.as_object().into_iter().flatten();
    fields.map(|(name, value)| (name.replace('_', " ").into(), text(value).into())).collect()
}

/// Returns the warnings of a change, as further sentences.
pub(super) fn warnings(changed: &Value) -> String {
    let warnings = changed["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str);
    warnings.map(|warning| format!(" {}", capitalized(warning))).collect()
}
