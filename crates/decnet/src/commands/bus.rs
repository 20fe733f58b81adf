//! `decnet bus`: the bus alone, as a replacement for DECNET's daemon of that name.

use std::path::{Path, PathBuf};
use std::time::Duration;

use decnet_bus::{Server, ServerOptions, Users};
use decnet_core::limits::MAX_BUS_CONNECTIONS;
use decnet_store::ownership::directory_of;

use super::shared::detach::DetachArgs;
use crate::config::{Bus, read_duration_within};
use crate::context::Context;
use crate::descriptors;
use crate::failure::Usage;
use crate::supervision::Service;
use crate::trust::{Refused, Trust};

/// The shortest heartbeat interval that can be set.
const MIN_HEARTBEAT: Duration = Duration::from_millis(100);
/// The longest heartbeat interval that can be set.
const MAX_HEARTBEAT: Duration = Duration::from_secs(24 * 3600);

/// Runs the event bus alone, on its UNIX socket.
///
/// Speaks the protocol of DECNET's own bus. `decnet serve` contains a bus and does not need this command. The socket's
/// directory must belong to root or to the user of the bus, and no other user may be able to write to it, or to replace a
/// directory above it.
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
    #[arg(short = 'H', long, value_name = "DURATION", default_value = "10s",
          value_parser = |text: &str| read_duration_within(text, MIN_HEARTBEAT, MAX_HEARTBEAT))]
    heartbeat: Duration,
    #[command(flatten)]
    pub(crate) detach: DetachArgs,
}

/// Returns the users whose queues are lossless: root, the user of this process, and the configured users.
///
/// # Errors
/// A configured user does not exist.
pub(super) fn users(bus: &Bus) -> Result<Users, Usage> {
    let users = Users::default().with_lossless(&bus.lossless_users);
    users.map_err(|error| Usage::new(format!("DECNET_BUS_LOSSLESS_USERS: {error}")))
}

/// Checks that no other user can replace a directory above the socket, or a symbolic link on the way to it.
///
/// # Errors
/// Another user can replace a directory or a link.
pub(super) fn check_location(socket: &Path) -> Result<(), Usage> {
    match Trust::of_this_process().check_directory(directory_of(socket)) {
        Err(Refused::Untrusted(why)) => Err(Usage::new(format!(
            "cannot create the bus socket {}: {why}; choose a directory that other users cannot replace",
            socket.display()
        ))),
        // The bus reports other errors when it creates the socket.
        Ok(()) | Err(Refused::Io(_)) => Ok(()),
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let bus = &context.config.bus;
    let socket = args.socket.unwrap_or_else(|| bus.path().to_owned());
    check_location(&socket)?;
    let options = ServerOptions {
        group: Some(args.group.unwrap_or_else(|| bus.group.clone())),
        heartbeat: args.heartbeat,
        users: users(bus)?,
        ..ServerOptions::new(socket)
    };
    let status = Box::new(|| "serving".to_owned());
    let service = Service { liveness: vec![options.liveness.clone()], status, is_saving: None };
    descriptors::allow_connections(MAX_BUS_CONNECTIONS, 0);
    let server = Server::bind(options)?;
    args.detach.leave()?;
    let _reporting = service.report(context.shutdown.clone());
    Ok(server.run(context.shutdown.clone()).await?)
}
