//! Opening a connection: looks up the name, checks the addresses, dials, encrypts, and negotiates the protocol.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use decnet_core::delivery::Timings;
use decnet_core::limits::{CONNECTION_ATTEMPT_DELAY, MAX_DIALLED_ADDRESSES};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio_rustls::client::TlsStream;

use crate::egress::{EgressGuard, ForbiddenAddress};
use crate::http1::{self, MaybeTlsStream};
use crate::http2;
use crate::pool::Connection;
use crate::proxy::{Proxy, TunnelError};
use crate::request::Origin;
use crate::resolve::{self, Lookups, Resolver};
use crate::sockets::{Shortage, Socket, SocketLimit};
use crate::texts;
use crate::tls::{self, Protocols, Tls};

/// The reasons why a connection could not be established.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Shortage(#[from] Shortage),
    #[error(transparent)]
    Resolve(#[from] resolve::Error),
    #[error(transparent)]
    Forbidden(#[from] ForbiddenAddress),
    #[error("{} ({address})", texts::io(source))]
    Dial { address: SocketAddr, source: io::Error },
    #[error("the proxy {proxy} cannot be reached: {source}")]
    Proxy { proxy: Box<str>, source: Box<Error> },
    #[error("the proxy {proxy} opened no connection to {address}: {source}")]
    Tunnel { proxy: Box<str>, address: SocketAddr, source: TunnelError },
    #[error("TLS with {peer}: {source}")]
    Tls { peer: Box<str>, source: tls::Error },
    #[error("failed to start HTTP/2: {}", texts::http2(.0))]
    Http2Preface(#[from] h2::Error),
}

impl Error {
    fn shortage(&self) -> Option<&Shortage> {
        match self {
            Self::Shortage(shortage) | Self::Resolve(resolve::Error::Shortage(shortage)) => Some(shortage),
            Self::Proxy { source, .. } => source.shortage(),
            _ => None,
        }
    }

    /// Returns whether closing other connections may help.
    pub(crate) fn is_shortage(&self) -> bool {
        self.shortage().is_some_and(|shortage| !matches!(shortage, Shortage::Ports(_)))
    }

    /// Returns whether this host or its proxy is the cause, so that nothing was sent to the receiver.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Proxy { .. } => true,
            Self::Tunnel { source, .. } => source.is_of_proxy(),
            Self::Tls { source, .. } => source.is_local(),
            _ => self.shortage().is_some(),
        }
    }
}

/// The step of connecting that is under way, which a missed deadline reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ConnectStep {
    /// Waiting for another request's connection to the same origin, which may serve both requests.
    #[default]
    Waiting,
    /// Looking up the host name.
    Resolving,
    /// Dialling, with the first address and the number of addresses.
    Dialling(SocketAddr, usize),
    /// Looking up the host name of the proxy.
    ResolvingProxy,
    /// Dialling the proxy, with its first address.
    DiallingProxy(SocketAddr),
    /// Waiting for the proxy to connect to this address of the receiver.
    Tunnelling(SocketAddr),
    /// Negotiating TLS with this address.
    Handshaking(SocketAddr),
    /// Connected to a receiver that requested a client certificate and got none.
    WithoutCertificate,
}

impl ConnectStep {
    /// Returns whether this host or its proxy is the cause if the step takes too long.
    pub(crate) fn is_local(self) -> bool {
        matches!(self, Self::ResolvingProxy | Self::DiallingProxy(_))
    }

    /// Describes the step that was not completed within the deadline.
    pub(crate) fn timeout_text(self, origin: &Origin, deadline: &str) -> String {
        match self {
            Self::Waiting | Self::WithoutCertificate => {
                format!("no connection to {origin} within {deadline}")
            }
            Self::Resolving => {
                format!("no answer from the name servers for {} within {deadline}", origin.name)
            }
            Self::ResolvingProxy => {
                format!("no answer from the name servers for the proxy within {deadline}")
            }
            Self::DiallingProxy(address) => format!("no connection to the proxy {address} within {deadline}"),
            Self::Tunnelling(address) => {
                format!("the proxy opened no connection to {} within {deadline}", peer(origin, address))
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

/// The progress of connecting.
#[derive(Debug, Default)]
pub(crate) struct ConnectProgress {
    pub(crate) step: ConnectStep,
    /// The durations of the completed steps.
    pub(crate) timings: Timings,
}

/// Formats the name of a receiver and the address at which it was dialled.
fn peer(origin: &Origin, address: SocketAddr) -> String {
    if origin.address.is_some() { address.to_string() } else { format!("{} ({address})", origin.name) }
}

/// Opens connections, only to addresses that the egress guard permits.
pub(crate) struct Connector {
    guard: EgressGuard,
    lookups: Lookups,
    tls: Tls,
    sockets: SocketLimit,
    proxy: Option<Proxy>,
}

impl Connector {
    pub(crate) fn new(
        guard: EgressGuard,
        resolver: Resolver,
        tls: Tls,
        sockets: SocketLimit,
        proxy: Option<Proxy>,
    ) -> Self {
        Self { guard, lookups: Lookups::new(resolver, sockets.clone()), tls, sockets, proxy }
    }

    /// Connects, and records the progress.
    ///
    /// If the receiver's issuer is unknown and the trusted roots have since changed, the receiver is dialled once more.
    pub(crate) async fn connect(
        &self,
        origin: &Origin,
        protocols: Protocols,
        progress: &mut ConnectProgress,
    ) -> Result<Connection, Error> {
        progress.step = ConnectStep::Resolving;
        let addresses = self.permitted(origin, progress).await?;
        if !origin.https {
            let (socket, _) = self.dial(origin, &addresses, progress).await?;
            return Ok(Connection::Http1(http1::Connection::new(MaybeTlsStream::Left(socket))));
        }
        let stream = match self.encrypt(origin, protocols, &addresses, progress).await {
            Err(Error::Tls { source, .. })
                if !origin.has_own_roots() && self.tls.reload_after(&source).await =>
            {
                self.encrypt(origin, protocols, &addresses, progress).await?
            }
            encrypted => encrypted?,
        };
        if tls::negotiated_http2(&stream) {
            let connection = http2::Connection::start(stream).await?;
            return Ok(Connection::Http2(http2::Exchange::new(connection)));
        }
        Ok(Connection::Http1(http1::Connection::new(MaybeTlsStream::Right(Box::new(stream)))))
    }

    async fn encrypt(
        &self,
        origin: &Origin,
        protocols: Protocols,
        addresses: &[SocketAddr],
        progress: &mut ConnectProgress,
    ) -> Result<TlsStream<Socket>, Error> {
        let (socket, address) = self.dial(origin, addresses, progress).await?;
        progress.step = ConnectStep::Handshaking(address);
        let start = Instant::now();
        let stream = self.tls.connect(&origin.name, protocols, origin.identity.as_ref(), socket).await;
        let (stream, certificate_requested) =
            stream.map_err(|source| Error::Tls { peer: peer(origin, address).into(), source })?;
        progress.timings.tls = Some(start.elapsed());
        if certificate_requested {
            progress.step = ConnectStep::WithoutCertificate;
        }
        Ok(stream)
    }

    /// Connects to one of the addresses, through the proxy if there is one. Returns the connection and the address.
    async fn dial(
        &self,
        origin: &Origin,
        addresses: &[SocketAddr],
        progress: &mut ConnectProgress,
    ) -> Result<(Socket, SocketAddr), Error> {
        let start = Instant::now();
        let dialled = match self.proxy.as_ref().filter(|proxy| proxy.serves(origin)) {
            // Boxed, because its state would enlarge the future of every connection.
            Some(proxy) => Box::pin(self.tunnel(proxy, addresses, progress)).await?,
            None => {
                progress.step = ConnectStep::Dialling(addresses[0], addresses.len());
                let socket = dial(addresses, &self.sockets).await?;
                let address = socket.peer().unwrap_or(addresses[0]);
                (socket, address)
            }
        };
        progress.timings.connect = Some(start.elapsed());
        Ok(dialled)
    }

    /// Lets the proxy connect to the addresses in turn until one answers. The proxy itself is not subject to the egress guard, since the
    /// operator has configured it.
    async fn tunnel(
        &self,
        proxy: &Proxy,
        addresses: &[SocketAddr],
        progress: &mut ConnectProgress,
    ) -> Result<(Socket, SocketAddr), Error> {
        progress.step = ConnectStep::ResolvingProxy;
        let name = || proxy.origin.to_string().into();
        let unreachable = |source: Error| Error::Proxy { proxy: name(), source: Box::new(source) };
        let at = self.addresses(&proxy.origin, &mut ConnectProgress::default()).await.map_err(unreachable)?;
        let at: Vec<_> =
            interleaved(&at).map(|address| SocketAddr::new(address, proxy.origin.port)).collect();
        let mut failure = None;
        for &address in addresses {
            progress.step = ConnectStep::DiallingProxy(at[0]);
            let mut socket = dial(&at, &self.sockets).await.map_err(unreachable)?;
            progress.step = ConnectStep::Tunnelling(address);
            match proxy.open(&mut socket, address).await {
                Ok(()) => return Ok((socket, address)),
                Err(source) => {
                    let is_of_proxy = source.is_of_proxy();
                    failure = Some(Error::Tunnel { proxy: name(), address, source });
                    if is_of_proxy {
                        break;
                    }
                }
            }
        }
        Err(failure.expect("a host has at least one address"))
    }

    /// Returns the addresses to dial. A single forbidden address rejects the host: which address is dialled must not
    /// depend on the order in which a name server lists them.
    async fn permitted(
        &self,
        origin: &Origin,
        progress: &mut ConnectProgress,
    ) -> Result<Vec<SocketAddr>, Error> {
        let addresses = self.addresses(origin, progress).await?;
        addresses.iter().try_for_each(|address| self.guard.check(*address))?;
        Ok(interleaved(&addresses).map(|address| SocketAddr::new(address, origin.port)).collect())
    }

    /// Returns the addresses of a host, unchecked.
    async fn addresses(
        &self,
        origin: &Origin,
        progress: &mut ConnectProgress,
    ) -> Result<Rc<[IpAddr]>, Error> {
        if let Some(address) = origin.address {
            return Ok(Rc::new([address]));
        }
        let start = Instant::now();
        let found = self.lookups.resolve(&origin.name).await?;
        progress.timings.resolve = Some(start.elapsed());
        Ok(found)
    }
}

/// Returns up to [`MAX_DIALLED_ADDRESSES`] addresses with alternating families, starting with the family that the resolver
/// lists first (RFC 8305 section 4).
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

/// Dials each address [`CONNECTION_ATTEMPT_DELAY`] after the previous one, or as soon as that has failed, and returns the first
/// connection (RFC 8305 section 5). If all fail, the last error that this host did not cause is reported, if there is one.
async fn dial(addresses: &[SocketAddr], sockets: &SocketLimit) -> Result<Socket, Error> {
    let mut waiting = addresses.iter().copied();
    let mut dials = FuturesUnordered::new();
    let mut failure: Option<Error> = None;
    loop {
        let next = waiting.next();
        dials.extend(next.map(|address| dial_one(address, sockets)));
        let finished = if waiting.len() > 0 {
            tokio::time::timeout(CONNECTION_ATTEMPT_DELAY, dials.next()).await
        } else {
            Ok(dials.next().await)
        };
        match finished {
            Ok(Some(Ok(stream))) => return Ok(stream),
            Ok(Some(Err(error))) if error.is_local() && failure.is_some() => {}
            Ok(Some(Err(error))) => failure = Some(error),
            Ok(None) => return Err(failure.expect("a host has at least one address")),
            Err(_stagger_elapsed) => {}
        }
    }
}

async fn dial_one(address: SocketAddr, sockets: &SocketLimit) -> Result<Socket, Error> {
    let connected = Socket::connect(address, sockets.acquire()?).await;
    connected.map_err(|source| match Shortage::of_connect(&source, address) {
        Some(shortage) => shortage.into(),
        None => Error::Dial { address, source },
    })
}

/// Formats a duration in seconds, or in milliseconds if it is not a whole number of seconds.
pub(crate) fn format_duration(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{} s", duration.as_secs())
    } else {
        format!("{} ms", duration.as_millis())
    }
}
