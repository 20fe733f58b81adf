//! The sockets that requests have open, counted so that the rest of the process keeps its share of descriptors, and
//! what this host may lack for another one.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::meter::Meter;

/// What this host lacked, so that nothing was sent. Says nothing about the receiver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Shortage {
    /// All sockets that requests may have are in use.
    #[error("all {0} sockets that requests may use are in use; raise LimitNOFILE= of the unit (ulimit -n)")]
    Sockets(usize),
    /// `EMFILE`
    #[error("too many open files in this process; raise LimitNOFILE= of the unit (ulimit -n)")]
    Descriptors,
    /// `ENFILE`
    #[error("too many open files on this host; raise the kernel's fs.file-max")]
    SystemDescriptors,
    /// `ENOBUFS`, `ENOMEM`
    #[error("this host has no memory left for sockets")]
    Memory,
    /// `EADDRNOTAVAIL`
    #[error("no local port is left for connections to {0}; widen the kernel's net.ipv4.ip_local_port_range")]
    Ports(SocketAddr),
}

impl Shortage {
    /// Returns the shortage that an error of a system call means, if it means one.
    pub(super) fn of(error: &io::Error) -> Option<Self> {
        match Errno::from_io_error(error)? {
            Errno::MFILE => Some(Self::Descriptors),
            Errno::NFILE => Some(Self::SystemDescriptors),
            Errno::NOBUFS | Errno::NOMEM => Some(Self::Memory),
            _ => None,
        }
    }

    /// The same for a `connect` to an address, which may also find no free local port.
    pub(super) fn of_connect(error: &io::Error, to: SocketAddr) -> Option<Self> {
        let no_port = matches!(Errno::from_io_error(error), Some(Errno::ADDRNOTAVAIL | Errno::AGAIN));
        if no_port && has_source_address(to) { Some(Self::Ports(to)) } else { Self::of(error) }
    }
}

/// Returns whether this host has an address from which `to` can be reached. A host without IPv6 has none for `::1`, and
/// `connect` then fails as it does without a free port. Connecting a UDP socket sends nothing.
fn has_source_address(to: SocketAddr) -> bool {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(to)).is_ok()
}

/// Counts the sockets of all requests against a maximum. Clones share the count.
#[derive(Debug, Clone)]
pub(super) struct Sockets {
    open: Rc<Cell<usize>>,
    max: usize,
}

/// One of the sockets; dropping it makes room for another.
#[derive(Debug)]
pub(super) struct Permit(Rc<Cell<usize>>);

impl Sockets {
    pub(super) fn new(max: usize) -> Self {
        Self { open: Rc::default(), max: max.max(1) }
    }

    /// Takes a permit for a socket that is about to be opened.
    ///
    /// # Errors
    /// [`Shortage::Sockets`] while as many are open as there may be.
    pub(super) fn permit(&self) -> Result<Permit, Shortage> {
        let open = self.open.get();
        if open >= self.max {
            return Err(Shortage::Sockets(self.max));
        }
        self.open.set(open + 1);
        Ok(Permit(Rc::clone(&self.open)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// A connected TCP socket with its permit. What it receives is counted, and bounded.
pub(super) struct Socket {
    stream: TcpStream,
    meter: Rc<Meter>,
    _permit: Permit,
}

impl Socket {
    pub(super) async fn connect(address: SocketAddr, permit: Permit) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, meter: Meter::new(), _permit: permit })
    }

    /// Returns how much it may receive.
    pub(super) fn meter(&self) -> Rc<Meter> {
        Rc::clone(&self.meter)
    }

    pub(super) fn peer(&self) -> io::Result<SocketAddr> {
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
    fn a_dropped_permit_makes_room() {
        let sockets = Sockets::new(2);
        let (first, _second) = (sockets.permit().unwrap(), sockets.clone().permit().unwrap());
        assert_eq!(sockets.permit().unwrap_err(), Shortage::Sockets(2));
        drop(first);
        assert!(sockets.permit().is_ok());
        assert!(Sockets::new(0).permit().is_ok(), "one is always allowed");
    }

    #[test]
    fn only_shortages_of_this_host_are_shortages() {
        let of = |errno: Errno| Shortage::of(&errno.into());
        assert_eq!(of(Errno::MFILE), Some(Shortage::Descriptors));
        assert_eq!(of(Errno::NFILE), Some(Shortage::SystemDescriptors));
        assert_eq!(of(Errno::NOBUFS), Some(Shortage::Memory));
        assert_eq!(of(Errno::NOMEM), Some(Shortage::Memory));
        for blames_the_receiver in [Errno::CONNREFUSED, Errno::HOSTUNREACH, Errno::TIMEDOUT, Errno::PERM] {
            assert_eq!(of(blames_the_receiver), None, "{blames_the_receiver:?}");
        }
    }

    /// No host may connect to the broadcast address without asking for it.
    #[test]
    fn ports_are_short_only_where_the_address_can_be_reached() {
        let (here, nowhere) = ("127.0.0.1:443".parse().unwrap(), "255.255.255.255:443".parse().unwrap());
        let refused = Errno::ADDRNOTAVAIL.into();
        assert_eq!(Shortage::of_connect(&refused, here), Some(Shortage::Ports(here)));
        assert_eq!(Shortage::of_connect(&refused, nowhere), None);
        assert_eq!(Shortage::of_connect(&Errno::MFILE.into(), nowhere), Some(Shortage::Descriptors));
    }
}
