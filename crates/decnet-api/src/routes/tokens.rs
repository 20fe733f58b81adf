//! API tokens.

use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use decnet_core::access::Scopes;
use decnet_core::duration;
use decnet_core::limits::{MAX_API_TOKEN_LIFETIME, MIN_API_TOKEN_LIFETIME};
use decnet_core::time::UnixMicros;
use decnet_store::catalog::{NewToken, StoredToken, TokenState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Reply, Routes};
use crate::auth::{Principal, Scope};
use crate::body::Body;
use crate::problem::Problem;
use crate::state::{Shared, now};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.guarded(Scope::Admin, routes!(list, create)).guarded(Scope::Admin, routes!(revoke))
}

/// All tokens.
#[derive(Serialize, ToSchema)]
struct Tokens {
    tokens: Vec<Token>,
}

/// A token, without its secret.
#[derive(Serialize, ToSchema)]
struct Token {
    /// Part of the token that is not secret.
    #[schema(example = "5f0c3a91d27be846")]
    id: String,
    name: String,
    /// Scopes; none for a login link.
    #[schema(example = json!(["read"]))]
    scopes: Vec<&'static str>,
    /// Scopes of the session that an unused one-time login link begins; null for a token.
    link_to: Option<Vec<&'static str>>,
    /// `active`, `expired` or `revoked`.
    #[schema(example = "active")]
    state: &'static str,
    created_at: Option<String>,
    expires_at: Option<String>,
    /// Time of the last use, to within a minute.
    last_used_at: Option<String>,
    revoked_at: Option<String>,
}

/// A new token.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewToken)]
#[serde(deny_unknown_fields)]
struct Requested {
    /// Name, unique among the tokens that are not revoked: ASCII letters, digits, `.`, `_` and `-`.
    #[schema(min_length = 1, max_length = 64, example = "ci")]
    name: String,
    /// Scopes: `read`, `publish` or `admin`. The requester must have each of them.
    #[schema(min_items = 1, example = json!(["publish"]))]
    scopes: Vec<String>,
    /// Lifetime, up to 10 years; without it the token does not expire.
    #[schema(example = "90d")]
    expires: Option<String>,
}

/// A token that was just created.
#[derive(Serialize, ToSchema)]
struct CreatedToken {
    #[serde(flatten)]
    stored: Token,
    /// The token, shown only in this response.
    #[schema(example = "dcn_…")]
    token: String,
}

/// Lists all tokens in the order of their creation, including expired and revoked tokens and unused login links.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "access", operation_id = "list_tokens",
    responses((status = 200, body = Tokens)))]
async fn list(State(state): State<Shared>) -> Reply<Tokens> {
    let tokens = state.catalog.run(|catalog| catalog.tokens()).await?;
    Ok(Json(Tokens { tokens: tokens.into_iter().map(Token::from).collect() }))
}

/// Creates a token. Only this response contains it.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "access", operation_id = "create_token",
    request_body = Requested,
    responses(
        (status = 201, body = CreatedToken),
        (status = 409, description = "The name is taken, or there are too many tokens"),
    ))]
async fn create(
    State(state): State<Shared>,
    Extension(requester): Extension<Principal>,
    Body(requested): Body<Requested>,
) -> Result<(StatusCode, Json<CreatedToken>), Problem> {
    let now = now();
    let new = requested.read(&requester, now)?;
    let create = state.change_access(&state.catalog, requester.actor(), move |catalog| {
        let token = catalog.create_token(&new, now)?;
        Ok::<_, Problem>((catalog.token(token.id())?, token))
    });
    let (stored, token) = create.await?;
    let stored = stored.ok_or_else(|| Problem::not_found("another process has removed the token"))?;
    Ok((StatusCode::CREATED, Json(CreatedToken { stored: stored.into(), token: token.expose() })))
}

/// Revokes a token or a login link. It is rejected from now on, and the sessions of the dashboard that use it end.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "access", operation_id = "revoke_token",
    params(("id" = String, Path, description = "Id of the token, or the name of an active token")),
    responses(
        (status = 204, description = "Revoked"),
        (status = 409, description = "The token is already revoked"),
    ))]
async fn revoke(
    State(state): State<Shared>,
    Extension(requester): Extension<Principal>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let revoke = state
        .change_access(&state.catalog, requester.actor(), move |catalog| catalog.revoke_token(&id, now()));
    revoke.await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Requested {
    fn read(self, requester: &Principal, now: UnixMicros) -> Result<NewToken, Problem> {
        let scopes: Result<Vec<Scope>, _> = self.scopes.iter().map(|scope| scope.parse()).collect();
        let scopes = scopes.map_err(|error| Problem::invalid(format!("scopes: {error}")))?;
        if scopes.is_empty() {
            return Err(Problem::invalid("scopes: must contain read, publish or admin"));
        }
        if !scopes.iter().all(|scope| requester.scopes.is_some_and(|own| own.permit(*scope))) {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "a token cannot create a token with a scope that it does not have itself",
            ));
        }
        let lifetime = self.expires.as_deref().map(lifetime).transpose()?;
        let expires_at = lifetime.map(|lifetime| now.after(lifetime));
        Ok(NewToken { name: self.name, scopes: Scopes::new(scopes), expires_at })
    }
}

fn lifetime(text: &str) -> Result<Duration, Problem> {
    let read =
        duration::parse(text).filter(|read| (MIN_API_TOKEN_LIFETIME..=MAX_API_TOKEN_LIFETIME).contains(read));
    read.ok_or_else(|| Problem::invalid("expires: must be a duration like 12h or 90d, up to 3650d"))
}

impl From<StoredToken> for Token {
    fn from(stored: StoredToken) -> Self {
        let at = |at: Option<UnixMicros>| at.map(UnixMicros::to_iso8601);
        let names = |scopes: Scopes| scopes.iter().map(Scope::as_str).collect();
        Self {
            state: match stored.state(now()) {
                TokenState::Active => "active",
                TokenState::Expired => "expired",
                TokenState::Revoked => "revoked",
            },
            id: stored.id,
            name: stored.name,
            scopes: names(stored.scopes),
            link_to: stored.link_to.map(names),
            created_at: at(stored.created_at),
            expires_at: at(stored.expires_at),
            last_used_at: at(stored.last_used_at),
            revoked_at: at(stored.revoked_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::PrincipalId;

    #[test]
    fn token_cannot_grant_what_it_does_not_have() {
        let verdict = |own: Scope, wanted: &[&str]| {
            let scopes = Some(Scopes::new([own]));
            let requester = Principal { id: PrincipalId::Token("a".into()), name: "a".into(), scopes };
            let scopes = wanted.iter().map(|scope| (*scope).to_owned()).collect();
            let requested = Requested { name: "b".into(), scopes, expires: None };
            requested.read(&requester, UnixMicros(0)).map_err(|problem| problem.status().as_u16()).err()
        };
        assert_eq!(verdict(Scope::Admin, &["read", "publish", "admin"]), None);
        assert_eq!(verdict(Scope::Read, &["read"]), None);
        assert_eq!(verdict(Scope::Read, &["read", "publish"]), Some(403));
        assert_eq!(verdict(Scope::Publish, &["admin"]), Some(403));
        assert_eq!((verdict(Scope::Admin, &[]), verdict(Scope::Admin, &["root"])), (Some(422), Some(422)));
    }

    #[test]
    fn lifetimes_are_bounded() {
        assert_eq!(lifetime("90d").unwrap(), Duration::from_secs(90 * 86_400));
        for bad in ["0s", "3651d", "soon", ""] {
            assert!(lifetime(bad).is_err(), "{bad}");
        }
    }
}
