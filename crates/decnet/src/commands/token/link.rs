//! `decnet token link`: creates a one-time link that logs in to the dashboard.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use decnet_core::access::{Scope, Scopes};
use decnet_core::duration;
use decnet_core::limits::LOGIN_LINK_TTL;
use serde_json::json;

use crate::commands::shared::bus_client;
use crate::config::{Api, read_origin};
use crate::context::Context;
use crate::failure::Usage;
use crate::output::{self, Text};
use crate::receiver::now;
use crate::store::open_or_create;

/// Creates a link that logs in to the dashboard once, within ten minutes.
///
/// Whoever opens the link and presses its button gets a session with the given scope, for up to 12 hours. Opening the link alone,
/// as previews in chats do, does not use it up. `decnet token list` lists it, and `decnet token revoke` revokes it, also after its
/// use.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet token link
  decnet token link --scope admin
  decnet token link --url https://hooks.example     # behind a proxy
  decnet token link --json | jq -r .link")]
pub(crate) struct Args {
    /// The scope of the session: `read` sees everything, `admin` may also change it
    #[arg(long, default_value = "read", value_parser = scopes())]
    scope: Scope,
    /// The address of the dashboard in the browser [default: from DECNET_API_HOST and DECNET_API_PORT]
    #[arg(long, value_parser = read_origin)]
    url: Option<String>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

fn scopes() -> impl clap::builder::TypedValueParser<Value = Scope> {
    PossibleValuesParser::new([Scope::Read, Scope::Admin].map(Scope::as_str))
        .try_map(|text| text.parse::<Scope>())
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let origin = args.url.clone().map_or_else(|| configured(&context.config.api), Ok)?;
    let mut catalog = open_or_create(&context.config)?;
    let code = catalog.create_link(Scopes::new([args.scope]), now())?;
    bus_client::publish_entries(&context.config, catalog.take_unpublished()).await;
    let (id, scope) = (code.id(), args.scope.as_str());
    let link = address(&origin, &code.expose_as_link_code());
    let what =
        format!("created a login link, but could not show it: revoke it with `decnet token revoke {id}`");
    if args.json {
        let expires_at = now().after(LOGIN_LINK_TTL);
        return output::done(
            &what,
            output::json(&json!({"id": id, "scope": scope, "expires_at": expires_at, "link": link})),
        );
    }
    let mut text = Text::default();
    text.line(link);
    text.line(format!(
        "The link works once, within {}, and begins a session with the scope {scope}.",
        duration::show(LOGIN_LINK_TTL)
    ));
    output::done(&what, output::print(&text))
}

/// Returns the address of a link. The code is in the fragment, which browsers do not send: it appears in no request line, log or
/// `Referer`.
pub(crate) fn address(origin: &str, code: &str) -> String {
    format!("{origin}/login?link#{code}")
}

/// Returns the origin of the dashboard on this host, as configured.
fn configured(api: &Api) -> anyhow::Result<String> {
    if api.port == 0 {
        let what = "the API listens on any free port (DECNET_API_PORT=0): give the address that `decnet serve` prints with --url";
        return Err(Usage::new(what).into());
    }
    let host = api.host.trim_matches(['[', ']']);
    Ok(host.parse().map_or_else(
        |_| format!("http://{host}:{}", api.port),
        |ip: IpAddr| origin(SocketAddr::new(ip, api.port)),
    ))
}

/// Returns the origin of a dashboard that listens on this address, for a browser on this host.
pub(crate) fn origin(address: SocketAddr) -> String {
    let is_any = address.ip().is_unspecified();
    let ip = if is_any { Ipv4Addr::LOCALHOST.into() } else { address.ip() };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_leads_to_this_host() {
        let api = |host: &str, port| Api {
            enabled: true,
            host: host.into(),
            port,
            limits_creations: false,
            dashboard_origins: Vec::new(),
        };
        for (host, expected) in [
            ("127.0.0.1", "http://127.0.0.1:8000"),
            ("0.0.0.0", "http://127.0.0.1:8000"),
            ("::1", "http://[::1]:8000"),
            ("[::]", "http://127.0.0.1:8000"),
            ("localhost", "http://localhost:8000"),
        ] {
            assert_eq!(configured(&api(host, 8000)).unwrap(), expected);
        }
        assert!(configured(&api("127.0.0.1", 0)).is_err());
        assert_eq!(address("https://hooks.example", "dcl_x"), "https://hooks.example/login?link#dcl_x");
    }
}
