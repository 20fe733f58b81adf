//! The accept loop of a server.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::log_throttle::LogThrottle;

/// The pause after a failed accept. Usually file descriptors have run out, and an immediate retry would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listening socket.
pub trait Listener {
    /// The type of an accepted connection.
    type Stream;
    /// The address of a client.
    type Address;

    /// Accepts a connection. This is cancel safe.
    ///
    /// # Errors
    /// The error of accept(2).
    fn accept_one(&self) -> impl Future<Output = io::Result<(Self::Stream, Self::Address)>> + Send;
}

impl Listener for TcpListener {
    type Address = SocketAddr;
    type Stream = TcpStream;

    async fn accept_one(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.accept().await
    }
}

impl Listener for UnixListener {
    type Address = tokio::net::unix::SocketAddr;
    type Stream = UnixStream;

    async fn accept_one(&self) -> io::Result<(UnixStream, Self::Address)> {
        self.accept().await
    }
}

impl<L: Listener + Sync> Listener for &L {
    type Address = L::Address;
    type Stream = L::Stream;

    fn accept_one(&self) -> impl Future<Output = io::Result<(L::Stream, L::Address)>> + Send {
        (**self).accept_one()
    }
}

/// A loop that accepts connections. A failure is logged at a limited rate and followed by a pause.
#[derive(Debug)]
pub struct Acceptor<L> {
    listener: L,
    server: &'static str,
    failures: LogThrottle,
}

impl<L: Listener> Acceptor<L> {
    /// Creates an acceptor for connections to `listener`. Log messages contain the name `server`.
    pub fn new(listener: L, server: &'static str) -> Self {
        Self { listener, server, failures: LogThrottle::default() }
    }

    /// Returns the next connection and the address of its client. Retries after failures. This is cancel safe.
    pub async fn accept(&mut self) -> (L::Stream, L::Address) {
        loop {
            match self.listener.accept_one().await {
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
    use std::sync::Mutex;

    use futures_util::FutureExt as _;

    use super::*;

    /// A listener that fails with these errors, in reverse order, and then accepts a connection.
    struct Failing(Mutex<Vec<io::ErrorKind>>);

    impl Listener for Failing {
        type Address = ();
        type Stream = ();

        async fn accept_one(&self) -> io::Result<((), ())> {
            self.0.lock().unwrap().pop().map_or(Ok(((), ())), |kind| Err(kind.into()))
        }
    }

    #[tokio::test]
    async fn failures_pause_and_aborted_connections_do_not() {
        let acceptor = |kind| Acceptor::new(Failing(Mutex::new(vec![kind])), "test");
        let mut aborted = acceptor(io::ErrorKind::ConnectionAborted);
        assert_eq!(aborted.accept().now_or_never(), Some(((), ())));
        let mut exhausted = acceptor(io::ErrorKind::OutOfMemory);
        assert_eq!(exhausted.accept().now_or_never(), None, "pauses");
        exhausted.accept().await;
    }
}
