//! `decnet token create`: creates a token.

use std::time::Duration;

use decnet_core::access::{ApiToken, Scope, Scopes};
use decnet_store::catalog::{Error, NewToken, StoredToken};

use crate::commands::shared::catalog::open_or_create;
use crate::config::read_duration;
use crate::context::Context;
use crate::failure::Usage;
use crate::output::{self, Text};
use crate::receiver::now;

/// The longest lifetime of a token with --expires.
const MAX_LIFETIME: Duration = Duration::from_secs(3650 * 86_400);

/// Creates a token and prints it. It is not shown again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet token create --name ci --scope publish --expires 90d
  decnet token create --name dashboard --scope read --scope publish
  decnet token create --name ops --scope admin --json | jq -r .token > token")]
pub(crate) struct Args {
    /// The name of the token; unique among the active tokens
    #[arg(long)]
    name: String,
    /// The scope: read, publish or admin; may be given several times
    #[arg(long = "scope", required = true, value_delimiter = ',', value_name = "SCOPE")]
    scopes: Vec<Scope>,
    /// The lifetime, such as 12h or 90d; without it the token does not expire
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    expires: Option<Duration>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let (now, scopes) = (now(), Scopes::new(args.scopes));
    let expires_at = args.expires.map(|lifetime| now.after(lifetime));
    let mut catalog = open_or_create(&context.config)?;
    let token =
        catalog.create_token(&NewToken { name: args.name, scopes, expires_at }, now).map_err(refused)?;
    let stored = catalog.token(token.id())?;
    let stored = stored.ok_or_else(|| anyhow::anyhow!("another process has removed the token"))?;
    let what = format!(
        "created token {} ({id}), but could not show it: revoke it with `decnet token revoke {id}` and create another token",
        stored.name,
        id = stored.id
    );
    output::done(&what, print(&token, &stored, args.json))
}

fn print(token: &ApiToken, stored: &StoredToken, as_json: bool) -> anyhow::Result<()> {
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

fn lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = read_duration(text)?;
    if lifetime.is_zero() || lifetime > MAX_LIFETIME {
        return Err(
            "must be more than 0s and at most 3650d; omit --expires for a token that does not expire".into(),
        );
    }
    Ok(lifetime)
}

fn refused(error: Error) -> anyhow::Error {
    match error {
        Error::TokenName(_) => Usage::new(format!("--name: {error}")).into(),
        other => other.into(),
    }
}
