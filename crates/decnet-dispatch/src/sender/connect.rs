//! A new connection: resolve, check, dial, encrypt, greet.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use decnet_core::delivery::Timings;
use decnet_core::limits::{CONNECT_STAGGER, MAX_DIALLED_ADDRESSES, MAX_REPLY_BYTES, MAX_REPLY_HEADER_BYTES};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper::rt::{Executor, Read, Write};
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;

use super::egress::{Forbidden, Guard};
use super::http1::{self, Wire};
use super::pool::Connection;
use super::request::Origin;
use super::resolve::{self, Lookups, Resolver};
use super::tls::{self, Tls};

pub(super) type Body = Full<Bytes>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Resolve(#[from] resolve::Error),
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    #[error("{} ({address})", plain(source))]
    Dial { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Tls(#[from] tls::Error),
    #[error("the connection could not be prepared: {0}")]
    Greeting(#[from] hyper::Error),
}

/// Makes connections, each only to addresses that the guard has let pass.
pub(super) struct Connector {
    guard: Guard,
    lookups: Lookups,
    tls: Tls,
}

impl Connector {
    pub(super) fn new(guard: Guard, resolver: Resolver, extra_roots: Vec<CertificateDer<'static>>) -> Self {
        Self { guard, lookups: Lookups::new(resolver), tls: Tls::new(extra_roots) }
    }

    /// Connects, writing into `timings` what each step took as soon as it is done.
    pub(super) async fn connect(&self, origin: &Origin, timings: &mut Timings) -> Result<Connection, Error> {
        let addresses = self.permitted(origin, timings).await?;
        let begun = Instant::now();
        let stream = dial(&addresses).await?;
        timings.connect = Some(begun.elapsed());
        if !origin.https {
            return Ok(Connection::Http1(http1::Connection::new(Wire::Plain(stream))));
        }
        let begun = Instant::now();
        let stream = self.tls.connect(&origin.name, stream).await?;
        timings.tls = Some(begun.elapsed());
        if tls::chose_http2(&stream) {
            return greet_http2(stream).await;
        }
        Ok(Connection::Http1(http1::Connection::new(Wire::Encrypted(Box::new(stream)))))
    }

    /// The addresses to dial. One forbidden address among them refuses the host: which one is dialled must
    /// not depend on the order in which a name server lists them.
    async fn permitted(&self, origin: &Origin, timings: &mut Timings) -> Result<Vec<SocketAddr>, Error> {
        let begun = Instant::now();
        let addresses: Rc<[IpAddr]> = match origin.address {
            Some(address) => Rc::new([address]),
            None => {
                let found = self.lookups.resolve(&origin.name).await?;
                timings.resolve = Some(begun.elapsed());
                found
            }
        };
        addresses.iter().try_for_each(|address| self.guard.check(*address))?;
        Ok(interleaved(&addresses).map(|address| SocketAddr::new(address, origin.port)).collect())
    }
}

/// The families by turns, the resolver's favourite first (RFC 8305 section 4), and not more than we dial.
fn interleaved(addresses: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
    let prefers_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (mut first, mut second): (Vec<_>, Vec<_>) =
        addresses.iter().copied().partition(|address| address.is_ipv6() == prefers_v6);
    first.reverse();
    second.reverse();
    let mut turn = false;
    std::iter::from_fn(move || {
        turn = !turn;
        if turn { first.pop().or_else(|| second.pop()) } else { second.pop().or_else(|| first.pop()) }
    })
    .take(MAX_DIALLED_ADDRESSES)
}

/// Dials each address a little after the one before it, or as soon as that has failed; the first to answer
/// wins (RFC 8305 section 5).
async fn dial(addresses: &[SocketAddr]) -> Result<TcpStream, Error> {
    let mut waiting = addresses.iter().copied();
    let mut dials = FuturesUnordered::new();
    let mut failure = None;
    loop {
        let next = waiting.next();
        dials.extend(next.map(dial_one));
        let finished = if waiting.len() > 0 {
            tokio::time::timeout(CONNECT_STAGGER, dials.next()).await
        } else {
            Ok(dials.next().await)
        };
        match finished {
            Ok(Some(Ok(stream))) => return Ok(stream),
            Ok(Some(Err(error))) => failure = Some(error),
            Ok(None) => return Err(failure.unwrap_or_else(|| resolve::Error::Nothing.into())),
            Err(_head_start_is_over) => {}
        }
    }
}

async fn dial_one(address: SocketAddr) -> Result<TcpStream, Error> {
    let connected = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    connected.await.map_err(|source| Error::Dial { address, source })
}

async fn greet_http2<T>(stream: T) -> Result<Connection, Error>
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
    TokioIo<T>: Read + Write,
{
    let window = u32::try_from(MAX_REPLY_BYTES).expect("a reply's bound fits a window");
    let header_bytes = u32::try_from(MAX_REPLY_HEADER_BYTES).expect("a header's bound fits a setting");
    let builder = {
        let mut builder = http2::Builder::new(LocalExecutor);
        // A reply that nobody reads may fill its own window, never the memory.
        builder.initial_stream_window_size(window).max_header_list_size(header_bytes);
        builder
    };
    let (sender, driver) = builder.handshake::<_, Body>(TokioIo::new(stream)).await?;
    drive(driver);
    Ok(Connection::Http2(sender))
}

/// Runs a connection until it ends. Whoever waits on it is told of its errors; an idle one's concern nobody.
fn drive(driver: impl Future<Output = Result<(), hyper::Error>> + 'static) {
    tokio::task::spawn_local(async move {
        if let Err(error) = driver.await {
            tracing::trace!(%error, "connection ended");
        }
    });
}

/// hyper's HTTP/2 tasks run on the thread that sends.
#[derive(Clone)]
struct LocalExecutor;

impl<F: Future + 'static> Executor<F> for LocalExecutor {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(async move {
            task.await;
        });
    }
}

/// An I/O error without its number.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::ConnectionReset => "connection reset".into(),
        io::ErrorKind::HostUnreachable => "host unreachable".into(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".into(),
        io::ErrorKind::TimedOut => "connection timed out".into(),
        _ => error.to_string(),
    }
}

/// For the log and the operator: how long, in the unit that reads best.
pub(super) fn seconds(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{} s", duration.as_secs())
    } else {
        format!("{} ms", duration.as_millis())
    }
}
