//! `decnet token create`.

use std::time::Duration;

use decnet_core::access::{ApiToken, Scope, Scopes};
use decnet_store::catalog::{Error, NewToken, StoredToken};

use crate::commands::catalog::open_or_make;
use crate::config::read_duration;
use crate::context::Context;
use crate::failure::Usage;
use crate::output::{self, Text};
use crate::receiver::now;

/// Longest life that can be asked for; a token without --expires has no end.
const LONGEST: Duration = Duration::from_secs(3650 * 86_400);

/// Makes a token, and prints it, this once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet token create --name ci --scope publish --expires 90d
  decnet token create --name dashboard --scope read --scope publish
  decnet token create --name ops --scope admin --json | jq -r .token > token")]
pub(super) struct Args {
    /// What to call it; unique among those in use
    #[arg(long)]
    name: String,
    /// What it may do: read, publish or admin; several times for several
    #[arg(long = "scope", required = true, value_delimiter = ',', value_name = "SCOPE")]
    scopes: Vec<Scope>,
    /// When it ends by itself: 12h, 90d; without, it does not
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    expires: Option<Duration>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let (now, scopes) = (now(), Scopes::new(args.scopes));
    let expires_at = args.expires.map(|lifetime| now.after(lifetime));
    let mut catalog = open_or_make(context)?;
    let token =
        catalog.create_token(&NewToken { name: args.name, scopes, expires_at }, now).map_err(refused)?;
    let stored = catalog.token(token.id())?;
    let stored = stored.ok_or_else(|| anyhow::anyhow!("somebody else removed the token at once"))?;
    let what = format!(
        "created token {} ({id}), which was not shown: take it back with `decnet token revoke {id}` and create another",
        stored.name,
        id = stored.id
    );
    output::done(&what, if args.json { json(&token, &stored) } else { human(&token, &stored) })
}

fn json(token: &ApiToken, stored: &StoredToken) -> anyhow::Result<()> {
    let mut value = serde_json::to_value(stored)?;
    value["token"] = token.expose().into();
    output::json(&value)
}

fn human(token: &ApiToken, stored: &StoredToken) -> anyhow::Result<()> {
    let created = format!("created {} ({}), scope {}", stored.name, stored.id, stored.scopes);
    let shown = format!("token: {}", token.expose());
    let mut text = Text::default();
    for line in [&*created, &*shown, "It is shown only now; only a digest of it is kept."] {
        text += line;
        text.end_line();
    }
    output::print(&text)
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = read_duration(text)?;
    if lifetime.is_zero() || lifetime > LONGEST {
        return Err("a token lasts up to 3650d; leave --expires out for one without an end".into());
    }
    Ok(lifetime)
}

fn refused(error: Error) -> anyhow::Error {
    match error {
        Error::TokenName(_) => Usage::new(format!("--name: {error}")).into(),
        other => other.into(),
    }
}
