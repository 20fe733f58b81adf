//! SIGINT and SIGTERM: the first requests a clean stop, the second ends the process at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::Exit;
use crate::output;

/// Installs the handlers. The returned future cancels `shutdown` at the first signal and ends at the second, with the shell's
/// exit code for it: 128 plus its number. Needs a running runtime.
///
/// # Errors
/// The operating system rejects a handler.
pub(crate) fn handle(shutdown: CancellationToken) -> io::Result<impl Future<Output = Exit>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut next = async move || {
        tokio::select! {
            _ = interrupt.recv() => Exit(130),
            _ = terminate.recv() => Exit(143),
        }
    };
    Ok(async move {
        next().await;
        shutdown.cancel();
        let exit = next().await;
        output::note("decnet: stopped at once by a second signal");
        exit
    })
}
