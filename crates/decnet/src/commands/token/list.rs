//! `decnet token list`: lists the tokens.

use decnet_core::time::UnixMicros;
use decnet_store::catalog::{Error, StoredToken, TokenState};
use serde::Serialize;

use crate::commands::catalog::open_existing;
use crate::context::Context;
use crate::output::{self, Table};
use crate::receiver::now;

/// Lists all tokens, including expired and revoked ones, without their secrets.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet token list
  decnet token list --json | jq -r '.[] | select(.state == \"active\") | .name'")]
pub(super) struct Args {
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
    let (tokens, now) = (tokens(context)?, now());
    if args.json {
        let listed = tokens.iter().map(|token| Listed { token, state: token.state(now) });
        return output::json(&listed.collect::<Vec<_>>());
    }
    if tokens.is_empty() {
        output::say("no tokens yet; create one with `decnet token create`");
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "ID", "SCOPE", "STATE", "CREATED", "EXPIRES", "LAST USED"]);
    for token in &tokens {
        table.row([
            token.name.clone(),
            token.id.clone(),
            token.scopes.to_string(),
            state(token.state(now)).to_owned(),
            when(token.created_at),
            when(token.expires_at),
            when(token.last_used_at),
        ]);
    }
    table.print(context.paint)
}

/// Returns the tokens; none if there is no catalog yet.
fn tokens(context: &Context) -> anyhow::Result<Vec<StoredToken>> {
    match open_existing(context) {
        Ok(catalog) => Ok(catalog.tokens()?),
        Err(error) if matches!(error.downcast_ref(), Some(Error::Missing { .. })) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn state(state: TokenState) -> &'static str {
    match state {
        TokenState::Active => "active",
        TokenState::Expired => "expired",
        TokenState::Revoked => "revoked",
    }
}

/// Formats a time in UTC, to the second.
fn when(at: Option<UnixMicros>) -> String {
    at.map_or_else(|| "-".into(), |at| at.to_sqlite().chars().take(19).collect())
}
