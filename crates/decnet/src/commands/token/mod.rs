//! `decnet token`: manages the tokens of the HTTP API and the login links of the dashboard, in the catalog. Needs no daemon.

pub(crate) mod link;

use std::time::Duration;

use anyhow::Context as _;
use decnet_core::access::{ApiToken, Scope, Scopes};
use decnet_core::limits::{MAX_API_TOKEN_LIFETIME, MIN_API_TOKEN_LIFETIME};
use decnet_store::catalog::{Catalog, Error, NewToken, StoredToken, TokenState};
use serde::Serialize;

use super::shared::bus_client;
use super::shared::times::when;
use crate::config::read_duration_within;
use crate::context::Context;
use crate::failure::Usage;
use crate::output::{self, Table, Text};
use crate::receiver::now;
use crate::store::{open_existing, open_or_create, read_if_exists};

/// Creates, lists and revokes API tokens and login links.
///
/// A token is sent as `Authorization: Bearer dcn_…`. Its scope limits what it may do: `read` reads subscriptions and
/// deliveries, `publish` only submits events, `admin` may do everything. Only a digest of the token is stored, so it is
/// shown once. A revoked or expired token is rejected at once.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  decnet token create --name ci --scope publish --expires 90d
  decnet token list
  decnet token revoke ci
  decnet token link --scope admin       # log in to the dashboard")]
pub(crate) enum Command {
    Create(CreateArgs),
    Link(link::Args),
    List(ListArgs),
    Revoke(RevokeArgs),
}

/// Creates a token and prints it. It is not shown again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet token create --name ci --scope publish --expires 90d
  decnet token create --name dashboard --scope read --scope publish
  decnet token create --name ops --scope admin --json | jq -r .token > token")]
pub(crate) struct CreateArgs {
    /// The name of the token; unique among the active tokens
    #[arg(long)]
    name: String,
    /// The scope: read, publish or admin; may be given several times
    #[arg(long = "scope", required = true, value_delimiter = ',', value_name = "SCOPE")]
    scopes: Vec<Scope>,
    /// The lifetime, such as 12h or 90d; without it the token does not expire
    #[arg(long, value_name = "DURATION",
          value_parser = |text: &str| read_duration_within(text, MIN_API_TOKEN_LIFETIME, MAX_API_TOKEN_LIFETIME))]
    expires: Option<Duration>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Lists all tokens, including expired and revoked tokens and login links, without their secrets.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet token list
  decnet token list --json | jq -r '.[] | select(.state == \"active\") | .name'")]
pub(crate) struct ListArgs {
    /// Print a JSON list
    #[arg(long)]
    json: bool,
}

/// Revokes a token permanently. Requests with it are rejected from now on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet token revoke ci
  decnet token revoke 5f0c3a91d27be846")]
pub(crate) struct RevokeArgs {
    /// The name or id of the token
    token: String,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(command: Command, context: &Context) -> anyhow::Result<()> {
    match command {
        Command::Create(args) => create(args, context).await,
        Command::Link(args) => link::run(&args, context).await,
        Command::List(args) => list(&args, context),
        Command::Revoke(args) => revoke(&args, context).await,
    }
}

async fn create(args: CreateArgs, context: &Context) -> anyhow::Result<()> {
    let (now, scopes) = (now(), Scopes::new(args.scopes));
    let expires_at = args.expires.map(|lifetime| now.after(lifetime));
    let mut catalog = open_or_create(&context.config)?;
    let token = catalog.create_token(&NewToken { name: args.name, scopes, expires_at }, now);
    let token = token.map_err(|error| match error {
        Error::TokenName(_) => Usage::new(format!("--name: {error}")).into(),
        other => anyhow::Error::from(other),
    })?;
    let stored = catalog.token(token.id())?.context("another process has removed the token")?;
    bus_client::publish_entries(&context.config, catalog.take_unpublished()).await;
    let what = format!(
        "created token {} ({id}), but could not show it: revoke it with `decnet token revoke {id}` and create another token",
        stored.name,
        id = stored.id
    );
    output::done(&what, print_created(&token, &stored, args.json))
}

fn print_created(token: &ApiToken, stored: &StoredToken, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        let mut value = serde_json::to_value(stored)?;
        value["token"] = token.expose().into();
        return output::json(&value);
    }
    let mut text = Text::default();
    text.line(format!("created {} ({}), scope {}", stored.name, stored.id, stored.scopes));
    text.line(format!("token: {}", token.expose()));
    text.line("The token is not shown again: only a digest of it is stored.");
    output::print(&text)
}

/// A token and its state.
#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    token: &'a StoredToken,
    state: TokenState,
}

fn list(args: &ListArgs, context: &Context) -> anyhow::Result<()> {
    let tokens = read_if_exists(&context.config, Catalog::tokens)?.unwrap_or_default();
    let now = now();
    if args.json {
        let listed = tokens.iter().map(|token| Listed { token, state: token.state(now) });
        return output::json(&listed.collect::<Vec<_>>());
    }
    if tokens.is_empty() {
        output::note("no tokens yet; create one with `decnet token create`");
        return Ok(());
    }
    let row = |token: StoredToken| {
        let scopes = token.link_to.map_or_else(|| token.scopes.to_string(), |to| format!("link to {to}"));
        let state = state(token.state(now)).to_owned();
        let [created, expires, used] = [token.created_at, token.expires_at, token.last_used_at].map(when);
        [token.name, token.id, scopes, state, created, expires, used]
    };
    let headings = ["NAME", "ID", "SCOPE", "STATE", "CREATED", "EXPIRES", "LAST USED"];
    Table::new(headings, tokens.into_iter().map(row)).print(context.paint)
}

fn state(state: TokenState) -> &'static str {
    match state {
        TokenState::Active => "active",
        TokenState::Expired => "expired",
        TokenState::Revoked => "revoked",
    }
}

async fn revoke(args: &RevokeArgs, context: &Context) -> anyhow::Result<()> {
    let mut catalog = open_existing(&context.config)?;
    let revoked = catalog.revoke_token(&args.token, now())?;
    bus_client::publish_entries(&context.config, catalog.take_unpublished()).await;
    let what = format!("revoked {} ({})", revoked.name, revoked.id);
    output::done(&what, if args.json { output::json(&revoked) } else { output::line(&what) })
}
