//! The audit list: who changed what.

mod params;

use axum::Json;
use axum::extract::State;
use decnet_store::catalog::AuditEntry;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use self::params::AuditParams;
use super::{Reply, Routes};
use crate::auth::Scope;
use crate::query::Params;
use crate::state::Shared;

/// `read` may see the list: it contains no secret, and of URLs only what `read` sees of subscriptions. The names of tokens and
/// users are not credentials.
pub(super) fn routes(routes: Routes) -> Routes {
    routes.guarded(Scope::Read, routes!(list))
}

/// A page of the audit list.
#[derive(Serialize, ToSchema)]
struct AuditList {
    entries: Vec<Entry>,
    /// The `cursor` of the next page; null on the last page.
    next: Option<String>,
}

/// An entry of the audit list.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
struct Entry {
    /// Id, greater than those of all earlier entries.
    id: i64,
    #[schema(format = "date-time")]
    at: String,
    actor: Actor,
    /// What was done: `create`, `update`, `enable`, `disable`, `pause`, `resume`, `rotate_secret`, `revoke_old_secrets`, `delete`,
    /// `revoke`, `log_in`, `encrypt` or `decrypt`.
    #[schema(example = "update")]
    action: String,
    object: Object,
    /// Changed fields.
    changes: Vec<Change>,
}

/// Who made a change.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditActor)]
struct Actor {
    /// `token`; `decnet_user`: in a session of DECNET's dashboard; `local_user`: who ran `decnet` on the host; `link`: who used a
    /// one-time link.
    #[schema(example = "token")]
    kind: String,
    /// Id of the token or of DECNET's user, or the uid.
    id: String,
    /// Name of the token, the user or the link; empty if a uid has no name.
    name: String,
}

/// What was changed.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditObject)]
struct Object {
    /// `subscription`, `token`, `link`, or `keys`: the encryption of secrets.
    #[schema(example = "subscription")]
    kind: String,
    /// UUID of the subscription, or id of the token or link.
    id: String,
    /// Name after the change, or before a deletion.
    name: String,
}

/// A changed field.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditChange)]
struct Change {
    /// Name of the field.
    #[schema(example = "settings.rate")]
    field: String,
    /// Value before the change; null if it is not shown, since it may be secret, or if there was none.
    from: Option<String>,
    /// Value after the change; null if it is not shown, or if there is none.
    to: Option<String>,
}

/// Lists who changed which subscription, token or key, newest first, in pages. Changes by programs that write DECNET's table
/// themselves, such as DECNET, are not listed.
#[utoipa::path(get, path = "/api/v1/audit", tag = "access", operation_id = "list_audit_entries",
    params(AuditParams), responses((status = 200, body = AuditList)))]
async fn list(State(state): State<Shared>, Params(params): Params<AuditParams>) -> Reply<AuditList> {
    let filter = params.filter()?;
    let limit = filter.limit;
    let entries = state.catalog.run(move |catalog| catalog.audit(&filter)).await?;
    let is_full = entries.len() == limit as usize;
    let next = entries.last().filter(|_| is_full).map(|entry| format!("a{}", entry.id));
    Ok(Json(AuditList { entries: entries.into_iter().map(Entry::from).collect(), next }))
}

impl From<AuditEntry> for Entry {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { id, at, actor, action, object, changes } = entry;
        let changes = changes.into_iter();
        Self {
            id,
            at: at.to_iso8601(),
            actor: Actor { kind: actor.kind.into(), id: actor.id, name: actor.name },
            action: action.into(),
            object: Object { kind: object.kind.into(), id: object.id, name: object.name },
            changes: changes
                .map(|change| Change { field: change.field, from: change.from, to: change.to })
                .collect(),
        }
    }
}
