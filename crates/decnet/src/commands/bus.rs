//! `decnet bus`: the bus alone, as a replacement for DECNET's daemon of that name.

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

/// The shortest heartbeat interval that can be set.
const MIN_HEARTBEAT: Duration = Duration::from_millis(100);

/// Runs the event bus alone, on its UNIX socket.
///
/// Speaks the protocol of DECNET's own bus. `decnet serve` contains a bus and does not need this command. The socket's
/// directory must belong to root or to the user of the bus, and no other user may be able to write to it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet bus
  decnet bus --socket /srv/decnet/bus.sock --heartbeat 5s")]
pub(crate) struct Args {
    /// The path of the socket [default: DECNET_BUS_SOCKET, /run/decnet/bus.sock or ~/.decnet/bus.sock]
    #[arg(short, long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The group that may use the socket, if it exists [default: DECNET_BUS_GROUP or decnet]
    #[arg(short, long)]
    group: Option<String>,
    /// The interval between two heartbeat events
    #[arg(short = 'H', long, value_name = "DURATION", default_value = "10s", value_parser = heartbeat)]
    heartbeat: Duration,
    #[command(flatten)]
    pub(crate) detach: DetachArgs,
}

fn heartbeat(text: &str) -> Result<Duration, String> {
    let heartbeat = read_duration(text)?;
    let least = show_duration(MIN_HEARTBEAT);
    if heartbeat < MIN_HEARTBEAT { Err(format!("must be at least {least}")) } else { Ok(heartbeat) }
}

/// Returns the users whose queues are lossless: root, the user of this process, and the configured ones.
///
/// # Errors
/// A configured user does not exist.
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
