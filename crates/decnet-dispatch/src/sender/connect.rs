//! A new connection: resolve, check, dial, encrypt, greet.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use decnet_core::delivery::Timings;
use decnet_core::limits::{CONNECT_STAGGER, MAX_DIALLED_ADDRESSES};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio_rustls::client::TlsStream;

use super::egress::{Forbidden, Guard};
use super::http1::{self, Wire};
use super::http2;
use super::pool::Connection;
use super::request::Origin;
use super::resolve::{self, Lookups, Resolver};
use super::sockets::{Shortage, Socket, Sockets};
use super::texts;
use super::tls::{self, Protocols, Tls};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Shortage(#[from] Shortage),
    #[error(transparent)]
    Resolve(resolve::Error),
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    #[error("{} ({address})", texts::io(source))]
    Dial { address: SocketAddr, source: io::Error },
    #[error("TLS with {peer}: {source}")]
    Tls { peer: Box<str>, source: tls::Error },
    #[error("the connection could not be prepared: {}", texts::http2(.0))]
    Greeting(#[from] h2::Error),
}

impl Error {
    /// Returns whether closing other connections may help.
    pub(super) fn is_shortage(&self) -> bool {
        matches!(self, Self::Shortage(shortage) if !matches!(shortage, Shortage::Ports(_)))
    }

    /// Returns whether this host lacked something, so that the receiver was not even greeted.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Shortage(_) => true,
            Self::Tls { source, .. } => source.is_local(),
            Self::Resolve(_) | Self::Forbidden(_) | Self::Dial { .. } | Self::Greeting(_) => false,
        }
    }
}

impl From<resolve::Error> for Error {
    fn from(error: resolve::Error) -> Self {
        match error {
            resolve::Error::Shortage(shortage) => shortage.into(),
            other => Self::Resolve(other),
        }
    }
}

/// How far the making of a connection has come: what a deadline then cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Step {
    /// Waiting for another request's connection to the same origin, which may serve both.
    #[default]
    Waiting,
    /// The host name is looked up.
    Resolving,
    /// The first of so many addresses is dialled.
    Dialling(SocketAddr, usize),
    /// TLS is negotiated with this address.
    Handshaking(SocketAddr),
    /// The connection is made; its receiver asked for a client certificate and got none.
    WithoutCertificate,
}

impl Step {
    /// Describes what did not happen in time.
    pub(super) fn missed(self, origin: &Origin, deadline: &str) -> String {
        match self {
            Self::Waiting | Self::WithoutCertificate => {
                format!("no connection to {origin} within {deadline}")
            }
            Self::Resolving => {
                format!("no answer from the name servers for {} within {deadline}", origin.name)
            }
            Self::Dialling(first, 1) => format!("no connection to {first} within {deadline}"),
            Self::Dialling(first, all) => {
                format!("no connection to {first} or {} more of its addresses within {deadline}", all - 1)
            }
            Self::Handshaking(address) => {
                format!("no TLS handshake with {} within {deadline}", peer(origin, address))
            }
        }
    }
}

/// Names a receiver and the address at which it was dialled.
fn peer(origin: &Origin, address: SocketAddr) -> String {
    if origin.address.is_some() { address.to_string() } else { format!("{} ({address})", origin.name) }
}

/// Makes connections, each only to addresses that the guard has let pass.
pub(super) struct Connector {
    guard: Guard,
    lookups: Lookups,
    tls: Tls,
    sockets: Sockets,
}

impl Connector {
    pub(super) fn new(guard: Guard, resolver: Resolver, tls: Tls, sockets: Sockets) -> Self {
        Self { guard, lookups: Lookups::new(resolver, sockets.clone()), tls, sockets }
    }

    /// Connects, writing into `timings` what each step took as soon as it is done, and into `step` which one it is.
    ///
    /// A receiver whose issuer is unknown is dialled once more if the trusted roots have changed meanwhile.
    pub(super) async fn connect(
        &self,
        origin: &Origin,
        protocols: Protocols,
        timings: &mut Timings,
        step: &mut Step,
    ) -> Result<Connection, Error> {
        *step = Step::Resolving;
        let addresses = self.permitted(origin, timings).await?;
        if !origin.https {
            let socket = self.dial(&addresses, timings, step).await?;
            return Ok(Connection::Http1(http1::Connection::new(Wire::Plain(socket))));
        }
        let stream = match self.encrypt(origin, protocols, &addresses, timings, step).await {
            Err(Error::Tls { source, .. }) if self.tls.renew_after(&source).await => {
                self.encrypt(origin, protocols, &addresses, timings, step).await?
            }
            made => made?,
        };
        if tls::chose_http2(&stream) {
            return Ok(Connection::Http2(http2::Connection::start(stream).await?));
        }
        Ok(Connection::Http1(http1::Connection::new(Wire::Encrypted(Box::new(stream)))))
    }

    async fn encrypt(
        &self,
        origin: &Origin,
        protocols: Protocols,
        addresses: &[SocketAddr],
        timings: &mut Timings,
        step: &mut Step,
    ) -> Result<TlsStream<Socket>, Error> {
        let socket = self.dial(addresses, timings, step).await?;
        let address = socket.peer().unwrap_or(addresses[0]);
        *step = Step::Handshaking(address);
        let begun = Instant::now();
        let stream = self.tls.connect(&origin.name, protocols, socket).await;
        let (stream, asked) =
            stream.map_err(|source| Error::Tls { peer: peer(origin, address).into(), source })?;
        timings.tls = Some(begun.elapsed());
        if asked {
            *step = Step::WithoutCertificate;
        }
        Ok(stream)
    }

    async fn dial(
        &self,
        addresses: &[SocketAddr],
        timings: &mut Timings,
        step: &mut Step,
    ) -> Result<Socket, Error> {
        *step = Step::Dialling(addresses[0], addresses.len());
        let begun = Instant::now();
        let socket = dial(addresses, &self.sockets).await?;
        timings.connect = Some(begun.elapsed());
        Ok(socket)
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
/// wins (RFC 8305 section 5). Of several failures, one that says something of the receiver is reported.
async fn dial(addresses: &[SocketAddr], sockets: &Sockets) -> Result<Socket, Error> {
    let mut waiting = addresses.iter().copied();
    let mut dials = FuturesUnordered::new();
    let mut failure: Option<Error> = None;
    loop {
        let next = waiting.next();
        dials.extend(next.map(|address| dial_one(address, sockets)));
        let finished = if waiting.len() > 0 {
            tokio::time::timeout(CONNECT_STAGGER, dials.next()).await
        } else {
            Ok(dials.next().await)
        };
        match finished {
            Ok(Some(Ok(stream))) => return Ok(stream),
            Ok(Some(Err(error))) if error.is_local() && failure.is_some() => {}
            Ok(Some(Err(error))) => failure = Some(error),
            Ok(None) => return Err(failure.expect("a host has at least one address")),
            Err(_head_start_is_over) => {}
        }
    }
}

async fn dial_one(address: SocketAddr, sockets: &Sockets) -> Result<Socket, Error> {
    let connected = Socket::connect(address, sockets.permit()?).await;
    connected.map_err(|source| match Shortage::of_connect(&source, address) {
        Some(shortage) => shortage.into(),
        None => Error::Dial { address, source },
    })
}

/// Formats a duration for the log and the operator, in the unit that reads best.
pub(super) fn seconds(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{} s", duration.as_secs())
    } else {
        format!("{} ms", duration.as_millis())
    }
}
