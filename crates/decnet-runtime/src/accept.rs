//! The accept loop of a server.

use std::io;
use std::time::{Duration, Instant};

use tokio_util::net::Listener;

use crate::log_throttle::LogThrottle;

/// The pause after a failed accept. Usually file descriptors have run out, and an immediate retry would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A loop that accepts connections. A failure is logged at a limited rate and followed by a pause.
#[derive(Debug)]
pub struct Acceptor<'l, L> {
    listener: &'l mut L,
    server: &'static str,
    failures: LogThrottle,
}

impl<'l, L: Listener> Acceptor<'l, L> {
    /// Creates an acceptor for connections to `listener`. Log messages contain the name `server`.
    pub fn new(listener: &'l mut L, server: &'static str) -> Self {
        Self { listener, server, failures: LogThrottle::default() }
    }

    /// Returns the next connection and the address of its client. Retries after failures. This is cancel safe.
    pub async fn accept(&mut self) -> (L::Io, L::Addr) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => return accepted,
                // The client disconnected before it was accepted; other connections are not affected.
                Err(error) if affects_one_connection(&error) => {}
                Err(error) => {
                    if let Some(times) = self.failures.record(Instant::now()) {
                        tracing::warn!(%error, times, server = self.server, "cannot accept connections; retrying");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

fn affects_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll};

    use futures_util::FutureExt as _;
    use tokio::io::{Empty, empty};

    use super::*;

    /// A listener that fails once with this error, and then accepts connections.
    struct Failing(Option<io::ErrorKind>);

    impl Listener for Failing {
        type Addr = ();
        type Io = Empty;

        fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<io::Result<(Empty, ())>> {
            Poll::Ready(self.0.take().map_or(Ok((empty(), ())), |kind| Err(kind.into())))
        }

        fn local_addr(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn failures_pause_and_aborted_connections_do_not() {
        let mut aborted = Failing(Some(io::ErrorKind::ConnectionAborted));
        assert!(Acceptor::new(&mut aborted, "test").accept().now_or_never().is_some());
        let mut exhausted = Failing(Some(io::ErrorKind::OutOfMemory));
        let mut exhausted = Acceptor::new(&mut exhausted, "test");
        assert!(exhausted.accept().now_or_never().is_none(), "pauses");
        exhausted.accept().await;
    }
}
