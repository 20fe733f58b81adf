//! Creation and changes of subscriptions, with a preview.

mod errors;
mod formats;
mod values;

use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use decnet_core::redact::EndpointUrl;
use decnet_core::topic::Pattern;
use decnet_web::form::{Form, FormatInfo, Guide, Values};
use decnet_web::forms::{CreatedPage, FormPage, TilesPage};
use decnet_web::previewed::Preview;
use decnet_web::{Text, encode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::SharedDashboard;
use super::reply::{self, PageReply, capitalized};
use super::subscription::warnings;
use super::visitor::{Change, Visitor};
use crate::problem::Problem;
use crate::routes::found;

/// The patterns of a new subscription, as those of `decnet serve --to`.
const DEFAULT_TOPICS: &str = "attacker.>\ndecky.>\ncredential.>\ncanary.>";
/// The batch of a new subscription to a destination that stores events.
const DEFAULT_BATCH: &str = "100";

/// The error of a form that is older than the subscription.
const OUTDATED: &str = "The subscription was changed since this form was opened, so nothing was saved. Compare your values \
                        with the current ones on its page; if you save again, yours replace them.";

/// The parameters of the forms.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Choice {
    format: Option<String>,
    topic: String,
}

/// Shows the destinations, or the form of the chosen one.
pub(super) async fn new(
    State(dashboard): State<SharedDashboard>,
    visitor: Visitor,
    Query(Choice { format, topic }): Query<Choice>,
) -> PageReply {
    visitor.check_may_change()?;
    let Some(format) = format else {
        let (frame, guides) = (visitor.into_frame(), formats::guides());
        return reply::page(&TilesPage { frame, guides, topics: topic });
    };
    let form = blank(format_of(&format)?, &topic);
    show(&dashboard, visitor, form).await
}

/// The API's result of a creation.
#[derive(Deserialize)]
struct Created {
    uuid: Text,
    name: Text,
    secret: Option<String>,
    warnings: Vec<Text>,
}

/// Creates a subscription, and shows its secret in this response only.
pub(super) async fn create(
    State(dashboard): State<SharedDashboard>,
    Change { visitor, fields }: Change<Values>,
) -> PageReply {
    let form = filled(fields.normalized(), None)?;
    let body = new_body(values::patch(&form, &Form::default()));
    match dashboard.api.change(&visitor, Method::POST, "/subscriptions", Some(body.into())).await {
        Ok(Created { uuid, name, secret, warnings }) => {
            dashboard.snapshots.invalidate().await;
            let (frame, is_plain) = (visitor.into_frame(), form.format.name.is_empty());
            reply::page(&CreatedPage { frame, uuid, name, secret, is_plain, warnings })
        }
        Err(problem) => again(&dashboard, visitor, form, problem).await,
    }
}

/// Shows the form of a subscription.
pub(super) async fn edit(
    State(dashboard): State<SharedDashboard>,
    visitor: Visitor,
    Path(uuid): Path<String>,
    Query(Choice { format, .. }): Query<Choice>,
) -> PageReply {
    visitor.check_may_change()?;
    let form = current(&dashboard, uuid, format.as_deref()).await?;
    show(&dashboard, visitor, form).await
}

/// Changes what differs from the subscription, unless it was changed since the form was shown.
pub(super) async fn change(
    State(dashboard): State<SharedDashboard>,
    Path(uuid): Path<String>,
    Change { visitor, fields }: Change<Values>,
) -> PageReply {
    let current = current(&dashboard, uuid.clone(), None).await?;
    let form = filled(fields.normalized(), Some(&current))?;
    let (page, patch) = (format!("/subscriptions/{}", encode(&uuid)), values::patch(&form, &current));
    let based_on = form.values.get("version");
    match dashboard.api.change_if(&visitor, &page, Value::from(patch), based_on).await {
        Ok(changed) => {
            dashboard.snapshots.invalidate().await;
            let changed: Value = changed;
            Ok(visitor.done(&page, format!("The changes are saved.{}", warnings(&changed))))
        }
        Err(problem) => again(&dashboard, visitor, form, problem).await,
    }
}

/// Shows the form again, with what the values would do.
pub(super) async fn preview(
    State(dashboard): State<SharedDashboard>,
    Change { visitor, fields }: Change<Values>,
) -> PageReply {
    visitor.check_may_change()?;
    let values = fields.normalized();
    let stored = match values.get("uuid") {
        "" => None,
        uuid => Some(current(&dashboard, uuid.to_owned(), None).await?),
    };
    let form = filled(values, stored.as_ref())?;
    show(&dashboard, visitor, form).await
}

/// Shows the form with the problem at its field, without the secrets that were typed.
async fn again(dashboard: &SharedDashboard, visitor: Visitor, mut form: Form, problem: Problem) -> PageReply {
    let status = problem.status();
    if !matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::CONFLICT
            | StatusCode::PRECONDITION_FAILED
            | StatusCode::UNPROCESSABLE_ENTITY
    ) {
        return Err(problem);
    }
    form.error = Some(match status {
        StatusCode::PRECONDITION_FAILED => (String::new(), OUTDATED.into()),
        _ => errors::locate(&problem, &form),
    });
    let page: Response = show(dashboard, visitor, form).await?;
    Ok((status, page).into_response())
}

async fn show(dashboard: &SharedDashboard, visitor: Visitor, mut form: Form) -> PageReply {
    let (valid, invalid_patterns) = patterns(&form.values);
    let preview = try_out(dashboard, &visitor, &form, valid).await;
    let preview = preview.map_err(|problem| Text::from(capitalized(problem.detail())));
    let url = form.values.get("url").to_owned();
    form.values = form.values.without_secrets();
    if form.error.as_ref().is_some_and(|(field, _)| field == "url") || is_public(&url) {
        form.values.set("url", url);
    }
    let (frame, guides) = (visitor.into_frame(), formats::guides());
    reply::page(&FormPage { frame, form, guides, preview, invalid_patterns })
}

/// Asks the API what the values would do. Patterns that are not valid are left out, and reported beside it.
async fn try_out(
    dashboard: &SharedDashboard,
    visitor: &Visitor,
    form: &Form,
    patterns: Vec<String>,
) -> Result<Preview, Problem> {
    let stored = match &form.current {
        Some(current) => self::current(dashboard, current.uuid.raw().to_owned(), None).await?,
        None => Form::default(),
    };
    let mut draft = values::patch(form, &stored);
    // While a URL is typed, it is not complete.
    let is_shown = |name: &str| {
        name == "settings" || name == "url" && EndpointUrl::new(form.values.get("url").trim()).is_ok()
    };
    draft.retain(|name, _| is_shown(name));
    draft.insert("topic_patterns".into(), json!(patterns));
    draft.extend(form.current.as_ref().map(|current| ("uuid".to_owned(), json!(current.uuid.raw()))));
    dashboard.api.change(visitor, Method::POST, "/subscriptions/preview", Some(draft.into())).await
}

/// Returns whether a URL contains nothing that may be secret: only a scheme, a host and a port.
fn is_public(url: &str) -> bool {
    let parsed = EndpointUrl::new(url.trim());
    parsed.is_ok_and(|url| url.credentials().is_none() && url.path_and_query() == "/")
}

/// Returns the valid patterns, and the others with the reasons.
fn patterns(values: &Values) -> (Vec<String>, Vec<(Text, Text)>) {
    let (mut valid, mut invalid) = (Vec::new(), Vec::new());
    for line in values.lines("topics") {
        match Pattern::new(line) {
            Ok(_) => valid.push(line.to_owned()),
            Err(error) => invalid.push((line.into(), error.to_string().into())),
        }
    }
    (valid, invalid)
}

async fn current(dashboard: &SharedDashboard, uuid: String, format: Option<&str>) -> Result<Form, Problem> {
    let (row, _) = dashboard.state.catalog.run(move |catalog| found(catalog, &uuid)).await?;
    values::current(&row, format)
}

fn blank(format: FormatInfo, topic: &str) -> Form {
    let mut values = Values::default();
    values.set("name", Guide::of(format.name, format.title).format);
    values.set("topics", if topic.is_empty() { DEFAULT_TOPICS } else { topic });
    if format.has_batch && !format.name.is_empty() {
        values.set("batch_events", DEFAULT_BATCH);
    }
    Form { values, format, ..Form::default() }
}

/// Returns the form with the values that were sent.
fn filled(values: Values, stored: Option<&Form>) -> Result<Form, Problem> {
    let format = format_of(values.get("format"))?;
    Ok(Form { values, format, current: stored.and_then(|stored| stored.current.clone()), error: None })
}

fn format_of(name: &str) -> Result<FormatInfo, Problem> {
    formats::find(name).ok_or_else(|| Problem::not_found("there is no such format"))
}

/// Returns a new subscription: nothing has to be reset, and the required fields are present.
fn new_body(mut patch: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::Object(settings)) = patch.get_mut("settings") {
        settings.retain(|_, value| !value.is_null());
    }
    for (name, empty) in [("name", json!("")), ("url", json!("")), ("topic_patterns", json!([]))] {
        patch.entry(name).or_insert(empty);
    }
    patch
}
