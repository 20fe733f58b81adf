//! The limit on the sockets that requests have open, so that the rest of the process keeps its share of file descriptors, and
//! the shortages of this host.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::meter::Meter;

/// A resource that this host lacked, so that nothing was sent. The receiver is not the cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Shortage {
    /// The limit on the sockets of requests is reached.
    #[error("all {0} sockets that requests may use are in use; raise LimitNOFILE= of the unit (ulimit -n)")]
    Sockets(usize),
    /// The limit on the file descriptors of this process (`EMFILE`).
    #[error("too many open files in this process; raise LimitNOFILE= of the unit (ulimit -n)")]
    Descriptors,
    /// The limit on the open files of this host (`ENFILE`).
    #[error("too many open files on this host; raise the kernel's fs.file-max")]
    SystemDescriptors,
    /// Memory (`ENOBUFS`, `ENOMEM`).
    #[error("this host is out of memory for sockets")]
    Memory,
    /// A local port for a connection to this address (`EADDRNOTAVAIL`).
    #[error("no local port is left for connections to {0}; widen the kernel's net.ipv4.ip_local_port_range")]
    Ports(SocketAddr),
}

impl Shortage {
    /// Returns the shortage that an error of a system call reports, if it reports one.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        match Errno::from_io_error(error)? {
            Errno::MFILE => Some(Self::Descriptors),
            Errno::NFILE => Some(Self::SystemDescriptors),
            Errno::NOBUFS | Errno::NOMEM => Some(Self::Memory),
            _ => None,
        }
    }

    /// Returns the shortage that an error of `connect` reports, which may also be a lack of local ports.
    pub(crate) fn of_connect(error: &io::Error, to: SocketAddr) -> Option<Self> {
        let no_port = matches!(Errno::from_io_error(error), Some(Errno::ADDRNOTAVAIL | Errno::AGAIN));
        if no_port && has_source_address(to) { Some(Self::Ports(to)) } else { Self::of(error) }
    }
}

/// Returns whether this host has a source address for `to`. A host without IPv6 has no source address for `::1`, and `connect`
/// then fails with the same error as if no port were free. Connecting a UDP socket sends nothing.
fn has_source_address(to: SocketAddr) -> bool {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(to)).is_ok()
}

/// The limit on the sockets of all requests. Clones share the count.
#[derive(Debug, Clone)]
pub(crate) struct SocketLimit {
    open: Rc<Cell<usize>>,
    max: usize,
}

/// The permit for one open socket, returned to the limit when it is dropped.
#[derive(Debug)]
pub(crate) struct SocketPermit(Rc<Cell<usize>>);

impl SocketLimit {
    pub(crate) fn new(max: usize) -> Self {
        Self { open: Rc::default(), max: max.max(1) }
    }

    /// Acquires a permit for a socket that is about to be opened.
    ///
    /// # Errors
    /// [`Shortage::Sockets`] if the limit is reached.
    pub(crate) fn acquire(&self) -> Result<SocketPermit, Shortage> {
        let open = self.open.get();
        if open >= self.max {
            return Err(Shortage::Sockets(self.max));
        }
        self.open.set(open + 1);
        Ok(SocketPermit(Rc::clone(&self.open)))
    }
}

impl Drop for SocketPermit {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// A connected TCP socket with its permit. A meter limits the bytes that it receives.
pub(crate) struct Socket {
    stream: TcpStream,
    meter: Rc<Meter>,
    _permit: SocketPermit,
}

impl Socket {
    pub(crate) async fn connect(address: SocketAddr, permit: SocketPermit) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, meter: Meter::new(), _permit: permit })
    }

    /// Returns the meter of the received bytes.
    pub(crate) fn meter(&self) -> Rc<Meter> {
        Rc::clone(&self.meter)
    }

    pub(crate) fn peer(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.meter.is_exhausted() {
            return Poll::Ready(Err(io::Error::other("the receiver sent too much")));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        this.meter.count(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_permit_can_be_acquired_again() {
        let sockets = SocketLimit::new(2);
        let (first, _second) = (sockets.acquire().unwrap(), sockets.clone().acquire().unwrap());
        assert_eq!(sockets.acquire().unwrap_err(), Shortage::Sockets(2));
        drop(first);
        assert!(sockets.acquire().is_ok());
        assert!(SocketLimit::new(0).acquire().is_ok(), "one is always allowed");
    }

    #[test]
    fn errors_that_the_receiver_caused_are_not_shortages() {
        let of = |errno: Errno| Shortage::of(&errno.into());
        assert_eq!(of(Errno::MFILE), Some(Shortage::Descriptors));
        assert_eq!(of(Errno::NFILE), Some(Shortage::SystemDescriptors));
        assert_eq!(of(Errno::NOBUFS), Some(Shortage::Memory));
        assert_eq!(of(Errno::NOMEM), Some(Shortage::Memory));
        for other in [Errno::CONNREFUSED, Errno::HOSTUNREACH, Errno::TIMEDOUT, Errno::PERM] {
            assert_eq!(of(other), None, "{other:?}");
        }
    }

    /// A socket cannot connect to the broadcast address without an option.
    #[test]
    fn ports_are_short_only_if_there_is_a_source_address() {
        let (reachable, unreachable) =
            ("127.0.0.1:443".parse().unwrap(), "255.255.255.255:443".parse().unwrap());
        let refused = Errno::ADDRNOTAVAIL.into();
        assert_eq!(Shortage::of_connect(&refused, reachable), Some(Shortage::Ports(reachable)));
        assert_eq!(Shortage::of_connect(&refused, unreachable), None);
        assert_eq!(Shortage::of_connect(&Errno::MFILE.into(), unreachable), Some(Shortage::Descriptors));
    }
}
