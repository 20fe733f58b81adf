//! SIGINT and SIGTERM: the first asks for a clean stop, the second ends the process at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::Interrupted;

/// The two signals, from now on in our hands.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes the signals over. Needs a running runtime.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Cancels `shutdown` at the first signal, returns at the second.
    pub(crate) async fn second(mut self, shutdown: CancellationToken) -> Interrupted {
        self.next().await;
        shutdown.cancel();
        Interrupted { exit_code: self.next().await }
    }

    /// Waits for a signal; 128 and its number, as shells count it.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
        }
    }
}
