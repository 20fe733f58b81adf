//! `decnet bus`: the bus alone, as DECNET's own daemon of that name.

use std::path::PathBuf;
use std::time::Duration;

use decnet_bus::{Server, ServerOptions, Users};
use decnet_core::limits::MAX_BUS_CONNECTIONS;

use super::detach::DetachArgs;
use crate::config::{Bus, read_duration, show_duration};
use crate::context::Context;
use crate::descriptors;
use crate::failure::Usage;
use crate::supervision::Service;

/// Shortest time between two heartbeats that an operator may ask for.
const MIN_HEARTBEAT: Duration = Duration::from_millis(100);

/// Runs the event bus alone, on its UNIX socket.
///
/// Speaks the protocol of DECNET's own bus. `decnet serve` has a bus of its own and needs none of these. The socket's
/// directory must belong to root or to the user of the bus, and be writable by nobody else.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet bus
  decnet bus --socket /srv/decnet/bus.sock --heartbeat 5s")]
pub(crate) struct Args {
    /// The socket [else DECNET_BUS_SOCKET, /run/decnet/bus.sock or ~/.decnet/bus.sock]
    #[arg(short, long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The group that may use it, where it exists [else DECNET_BUS_GROUP or decnet]
    #[arg(short, long)]
    group: Option<String>,
    /// Time between two events that say the bus is well
    #[arg(short = 'H', long, value_name = "DURATION", default_value = "10s", value_parser = heartbeat)]
    heartbeat: Duration,
    #[command(flatten)]
    pub(crate) detach: DetachArgs,
}

fn heartbeat(text: &str) -> Result<Duration, String> {
    let heartbeat = read_duration(text)?;
    let least = show_duration(MIN_HEARTBEAT);
    if heartbeat < MIN_HEARTBEAT { Err(format!("is at least {least}")) } else { Ok(heartbeat) }
}

/// Root and the user of this process, and for lossless queues those that are configured.
///
/// # Errors
/// A user that does not exist.
pub(super) fn users(bus: &Bus) -> Result<Users, Usage> {
    let users = Users::default().with_lossless(&bus.lossless_users);
    users.map_err(|error| Usage::new(format!("DECNET_BUS_LOSSLESS_USERS: {error}")))
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let bus = &context.config.bus;
    let socket = args.socket.unwrap_or_else(|| bus.path().to_owned());
    let options = ServerOptions {
        group: Some(args.group.unwrap_or_else(|| bus.group.clone())),
        heartbeat: args.heartbeat,
        users: users(bus)?,
        ..ServerOptions::new(socket)
    };
    let service = Service { pulses: vec![options.pulse.clone()], status: Box::new(|| "serving".to_owned()) };
    descriptors::ensure_for(MAX_BUS_CONNECTIONS);
    let server = Server::bind(options)?;
    args.detach.leave()?;
    let _reporting = service.report(context.shutdown.clone());
    Ok(server.run(context.shutdown.clone()).await?)
}
