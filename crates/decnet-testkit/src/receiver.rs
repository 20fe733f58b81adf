//! The server, on its own thread.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::frames::{self, Peer};
use crate::record::{Record, Request};
use crate::script::Script;
use crate::tls::{ClientCertificate, Settings, Tls};
use crate::{http1, http2};

/// A server on loopback. Dropping it stops the server and closes its connections.
#[must_use]
pub struct Receiver {
    address: SocketAddr,
    root: Option<Vec<u8>>,
    root_pem: Option<String>,
    record: Arc<Record>,
    hang_up: watch::Sender<()>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// Configuration of a receiver, created by [`Receiver::builder`].
#[must_use]
pub struct Builder {
    address: SocketAddr,
    script: Script,
    tls: Settings,
    protocols: Vec<&'static str>,
    max_streams: u32,
    peer: Option<Peer>,
}

impl Receiver {
    /// Starts a receiver of plain HTTP/1.1 on 127.0.0.1 that follows a script.
    pub fn start(script: impl Into<Script>) -> Self {
        Self::builder().script(script).start()
    }

    /// Creates a builder for any other receiver.
    pub fn builder() -> Builder {
        Builder {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            script: Script::default(),
            tls: Settings::default(),
            protocols: vec!["h2", "http/1.1"],
            max_streams: 200,
            peer: None,
        }
    }

    /// Returns the address of the listener.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the port of the listener.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns a URL with the address; `path` begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme(), self.address)
    }

    /// Returns a URL with a host name that the client must resolve to [`address`](Self::address).
    pub fn url_for(&self, host: &str, path: &str) -> String {
        format!("{}://{host}:{}{path}", self.scheme(), self.port())
    }

    fn scheme(&self) -> &'static str {
        if self.root.is_some() { "https" } else { "http" }
    }

    /// Returns the certificate (DER) that a client must trust, or `None` without TLS.
    pub fn root_certificate(&self) -> Option<&[u8]> {
        self.root.as_deref()
    }

    /// Returns the certificate that a client must trust, as PEM text; `None` without TLS.
    pub fn root_certificate_pem(&self) -> Option<&str> {
        self.root_pem.as_deref()
    }

    /// Follows another script from the next request on.
    pub fn set(&self, script: impl Into<Script>) {
        self.record.set_script(script.into());
    }

    /// Returns the number of requests received, including those that are no longer recorded.
    pub fn count(&self) -> u64 {
        self.record.count.load(Ordering::SeqCst)
    }

    /// Returns the recorded requests in the order in which they were read.
    pub fn requests(&self) -> Vec<Request> {
        self.record.requests().clone()
    }

    /// Deletes the recorded requests. The count is not reset.
    pub fn clear(&self) {
        self.record.requests().clear();
    }

    /// Returns the number of connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.record.accepted.load(Ordering::SeqCst)
    }

    /// Returns the number of connections that are open now.
    pub fn open_connections(&self) -> usize {
        self.record.open.load(Ordering::SeqCst)
    }

    /// Returns the bytes of huge bodies that were written to clients, including those still in socket
    /// buffers.
    pub fn body_bytes_sent(&self) -> u64 {
        self.record.body_bytes_sent.load(Ordering::Relaxed)
    }

    /// Blocks until `n` requests have been received, and returns the recorded requests.
    ///
    /// # Panics
    /// Panics if they do not arrive in time.
    #[track_caller]
    pub fn wait_for(&self, n: u64, timeout: Duration) -> Vec<Request> {
        let arrived = self.record.block_until(timeout, || self.count() >= n);
        assert!(arrived, "{} of {n} requests within {timeout:?}", self.count());
        self.requests()
    }

    /// Waits until `n` requests have been received. Returns whether they arrived in time. Needs a tokio
    /// runtime with time.
    pub async fn reached(&self, n: u64, timeout: Duration) -> bool {
        self.record.until(timeout, || self.count() >= n).await
    }

    /// Waits until exactly `n` connections are open. Returns whether that happened in time.
    pub async fn has_open(&self, n: usize, timeout: Duration) -> bool {
        self.record.until(timeout, || self.open_connections() == n).await
    }

    /// Closes every connection, and blocks until that is done.
    ///
    /// # Panics
    /// Panics if it takes more than a minute.
    pub fn hang_up(&self) {
        self.hang_up.send_replace(());
        let closed = self.record.block_until(Duration::from_secs(60), || self.open_connections() == 0);
        assert!(closed, "{} connections still open", self.open_connections());
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the receiver's thread panicked");
        }
    }
}

impl Builder {
    /// Sets the script, instead of always replying 200.
    pub fn script(mut self, script: impl Into<Script>) -> Self {
        self.script = script.into();
        self
    }

    /// Sets the address, instead of 127.0.0.1.
    pub fn address(mut self, address: impl Into<IpAddr>) -> Self {
        self.address.set_ip(address.into());
        self
    }

    /// Sets the port, instead of a free port.
    pub fn port(mut self, port: u16) -> Self {
        self.address.set_port(port);
        self
    }

    /// Uses TLS with a certificate for these names or addresses, and offers HTTP/2.
    pub fn tls(mut self, names: &[&str]) -> Self {
        self.tls.names = names.iter().map(ToString::to_string).collect();
        self
    }

    /// Uses a certificate that is valid from the beginning of the first year to the beginning of the second year.
    pub fn valid_between(mut self, from: i32, until: i32) -> Self {
        self.tls.valid_between = Some((from, until));
        self
    }

    /// Uses a certificate that is marked as a CA certificate (CA:TRUE), as `openssl req -x509` creates it.
    pub fn with_ca_certificate(mut self) -> Self {
        self.tls.is_ca = true;
        self
    }

    /// Rejects clients that do not present a certificate.
    pub fn requires_client_certificate(mut self) -> Self {
        self.tls.requires_client_certificate = true;
        self
    }

    /// Rejects clients that do not present one of these certificates.
    pub fn requires_one_of(mut self, clients: &[&ClientCertificate]) -> Self {
        self.tls.requires_client_certificate = true;
        self.tls.clients = clients.iter().map(|client| client.der.clone()).collect();
        self
    }

    /// Uses TLS 1.2 only.
    pub fn tls12_only(mut self) -> Self {
        self.tls.only_tls12 = true;
        self
    }

    /// Uses HTTP/1.1 over TLS, never HTTP/2.
    pub fn http1_only(mut self) -> Self {
        self.protocols = vec!["http/1.1"];
        self
    }

    /// Sets the maximum number of concurrent streams of an HTTP/2 connection; further streams are refused.
    pub fn max_streams(mut self, count: u32) -> Self {
        self.max_streams = count;
        self
    }

    /// Serves HTTP/2 clients frame by frame with `peer`; the script then applies to HTTP/1.1 only.
    pub fn frames(mut self, peer: Peer) -> Self {
        self.peer = Some(peer);
        self
    }

    /// Starts the receiver.
    ///
    /// # Panics
    /// Panics if the address cannot be bound, or the system cannot start a thread.
    pub fn start(self) -> Receiver {
        let tls = (!self.tls.names.is_empty()).then(|| Tls::new(&self.tls, &self.protocols));
        let listener = StdListener::bind(self.address).expect("a loopback address to listen on");
        listener.set_nonblocking(true).expect("a listener can be non-blocking");
        let address = listener.local_addr().expect("a listener has an address");
        let record = Arc::<Record>::default();
        record.set_script(self.script);
        let (hang_up, stop) = (watch::Sender::new(()), CancellationToken::new());
        let root = tls.as_ref().map(|tls| tls.root.to_vec());
        let root_pem = tls.as_ref().map(|tls| tls.pem.clone());
        let server = Server {
            tls,
            peer: self.peer,
            max_streams: self.max_streams,
            record: Arc::clone(&record),
            hang_up: hang_up.clone(),
        };
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("receiver".into());
        let thread = thread.spawn(move || server.run(listener, &stopped)).expect("a thread to serve on");
        Receiver { address, root, root_pem, record, hang_up, stop, thread: Some(thread) }
    }
}

#[derive(Clone)]
struct Server {
    tls: Option<Tls>,
    peer: Option<Peer>,
    max_streams: u32,
    record: Arc<Record>,
    hang_up: watch::Sender<()>,
}

impl Server {
    fn run(self, listener: StdListener, stop: &CancellationToken) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime starts").block_on(async {
            let listener = TcpListener::from_std(listener).expect("the listener is non-blocking");
            stop.run_until_cancelled(self.accept(&listener)).await;
        });
    }

    async fn accept(&self, listener: &TcpListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let number = self.record.accepted.fetch_add(1, Ordering::SeqCst) + 1;
            self.record.open.fetch_add(1, Ordering::SeqCst);
            self.record.notify();
            let (server, mut hang_up) = (self.clone(), self.hang_up.subscribe());
            tokio::spawn(async move {
                let _open = Open(Arc::clone(&server.record));
                tokio::select! {
                    _closed = server.serve(stream, number) => {}
                    _ = hang_up.changed() => {}
                }
            });
        }
    }

    async fn serve(&self, stream: TcpStream, number: u64) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return http1::serve(stream, number, &self.record).await };
        let stream = tls.acceptor.accept(stream).await?;
        match (stream.get_ref().1.alpn_protocol() == Some(b"h2"), &self.peer) {
            (true, Some(peer)) => frames::serve(stream, number, peer, &self.record).await,
            (true, None) => http2::serve(stream, number, self.max_streams, Arc::clone(&self.record)).await,
            (false, _) => http1::serve(stream, number, &self.record).await,
        }
    }
}

/// Counts a connection until its socket is closed. Declared before the socket, so that it is dropped later.
struct Open(Arc<Record>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
        self.0.notify();
    }
}
