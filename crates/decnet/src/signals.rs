//! SIGINT and SIGTERM: the first requests a clean stop, the second ends the process at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::Interrupted;

/// The handlers of the two signals.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Installs the handlers. Needs a running runtime.
    ///
    /// # Errors
    /// The operating system rejects a handler.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Cancels `shutdown` at the first signal and returns at the second.
    pub(crate) async fn second(mut self, shutdown: CancellationToken) -> Interrupted {
        self.next().await;
        shutdown.cancel();
        Interrupted { exit_code: self.next().await }
    }

    /// Waits for a signal. Returns the shell's exit code for it: 128 plus its number.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
        }
    }
}
