//! `decnet token list`: lists the tokens.

use decnet_store::catalog::{Catalog, StoredToken, TokenState};
use serde::Serialize;

use crate::commands::shared::catalog::read_if_exists;
use crate::commands::shared::times::when;
use crate::context::Context;
use crate::output::{self, Table};
use crate::receiver::now;

/// Lists all tokens, including expired and revoked tokens, without their secrets.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet token list
  decnet token list --json | jq -r '.[] | select(.state == \"active\") | .name'")]
pub(crate) struct Args {
    /// Print a JSON list
    #[arg(long)]
    json: bool,
}

/// A token and its state.
#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    token: &'a StoredToken,
    state: TokenState,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let tokens = read_if_exists(&context.config, Catalog::tokens)?.unwrap_or_default();
    let now = now();
    if args.json {
        let listed = tokens.iter().map(|token| Listed { token, state: token.state(now) });
        return output::json(&listed.collect::<Vec<_>>());
    }
    if tokens.is_empty() {
        output::say("no tokens yet; create one with `decnet token create`");
        return Ok(());
    }
    let row = |token: StoredToken| {
        let (state, scopes) = (state(token.state(now)).to_owned(), token.scopes.to_string());
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
