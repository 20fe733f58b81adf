//! TLS to receivers: verified against the system's trusted roots, which are read when the first `https` receiver is
//! dialled and again when a receiver's issuer is unknown.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustls::client::ResolvesClientCert;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, RootCertStore, SignatureScheme};
use rustls_native_certs::{CertificateResult, load_certs_from_paths, load_native_certs};
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::sockets::{Shortage, Socket};
use super::texts;
pub(super) use super::verifier::UntrustedCa;
use super::verifier::Verifier;

const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

/// The protocols to offer (ALPN, RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocols {
    /// HTTP/2 and HTTP/1.1.
    Both,
    Http1,
}

/// Where the trusted root certificates come from.
#[derive(Debug, Clone, Default)]
pub enum Roots {
    /// The system's store, or what `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    #[default]
    System,
    /// This PEM file alone.
    File(PathBuf),
}

/// Why a TLS connection did not come about.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(
        "no trusted root certificate was found on this host; install ca-certificates or set SSL_CERT_FILE"
    )]
    NoRoots,
    #[error(
        "the trusted root certificates could not be read; see that SSL_CERT_FILE and SSL_CERT_DIR are readable"
    )]
    Roots(#[source] io::Error),
    #[error("TLS could not be set up on this host")]
    Setup(#[from] rustls::Error),
    #[error("the host name cannot stand in a certificate")]
    Name(#[from] InvalidDnsNameError),
    #[error("{}", handshake(source, *asked))]
    Handshake {
        #[source]
        source: io::Error,
        /// Whether the receiver had asked for a client certificate.
        asked: bool,
    },
}

impl Error {
    /// Returns whether this host is to blame: the receiver was not even greeted.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::NoRoots | Self::Roots(_) | Self::Setup(_) => true,
            Self::Handshake { source, .. } => Shortage::of(source).is_some(),
            Self::Name(_) => false,
        }
    }

    /// Returns whether other trusted roots could have made the handshake succeed.
    fn is_untrusted(&self) -> bool {
        let Self::Handshake { source, .. } = self else { return false };
        match texts::tls_cause(source) {
            Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => true,
            Some(rustls::Error::InvalidCertificate(CertificateError::Other(other))) => {
                other.0.is::<UntrustedCa>()
            }
            _ => false,
        }
    }
}

/// Encrypts connections; verifies the receiver against the trusted roots and the extra ones.
pub(super) struct Tls {
    source: Roots,
    extra_roots: Vec<CertificateDer<'static>>,
    interval: Duration,
    trusted: RefCell<Option<Trusted>>,
    /// Held while the roots are read, so that they are read once for all who wait.
    reading: Mutex<()>,
    asked: Arc<Asked>,
}

/// The roots as they were read last, and what follows from them.
#[derive(Clone)]
struct Trusted {
    connector: TlsConnector,
    roots: Arc<[CertificateDer<'static>]>,
    read_at: Instant,
}

impl Tls {
    /// `interval` is the shortest time between two readings of the roots.
    pub(super) fn new(source: Roots, extra_roots: Vec<CertificateDer<'static>>, interval: Duration) -> Self {
        let (trusted, reading, asked) = (RefCell::default(), Mutex::default(), Arc::default());
        Self { source, extra_roots, interval, trusted, reading, asked }
    }

    /// Encrypts a connection. Returns with it whether the receiver asked for a client certificate, of which there is none.
    pub(super) async fn connect(
        &self,
        host: &str,
        protocols: Protocols,
        socket: Socket,
    ) -> Result<(TlsStream<Socket>, bool), Error> {
        let name = ServerName::try_from(host.trim_start_matches('[').trim_end_matches(']'))?.to_owned();
        let connector = self.connector().await?;
        let mut handshake = pin!(async {
            match protocols {
                Protocols::Both => connector.connect(name, socket).await,
                Protocols::Http1 => connector.with_alpn(vec![HTTP1.to_vec()]).connect(name, socket).await,
            }
        });
        let mut asked = false;
        // Handshakes take turns on this thread, and the flag is theirs together: it is read in the turn that set it.
        let ended = poll_fn(|context| {
            let polled = handshake.as_mut().poll(context);
            asked |= self.asked.0.swap(false, Ordering::Relaxed);
            polled
        });
        match ended.await {
            Ok(stream) => Ok((stream, asked)),
            Err(source) => Err(Error::Handshake { source, asked }),
        }
    }

    /// Reads the roots again if `error` says that the receiver is not trusted by those that were read, unless they were
    /// read within the interval. Returns whether they have changed.
    pub(super) async fn renew_after(&self, error: &Error) -> bool {
        if !error.is_untrusted() {
            return false;
        }
        let _turn = self.reading.lock().await;
        let Some(before) = self.trusted.borrow().clone() else { return false };
        if before.read_at.elapsed() < self.interval {
            return false;
        }
        match self.read().await {
            Ok(now) if now.roots != before.roots => {
                tracing::info!(roots = now.roots.len(), "the trusted root certificates have changed");
                self.trusted.replace(Some(now));
                return true;
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot read the trusted root certificates again; those read before count");
            }
        }
        self.trusted.replace(Some(Trusted { read_at: Instant::now(), ..before }));
        false
    }

    async fn connector(&self) -> Result<TlsConnector, Error> {
        if let Some(trusted) = &*self.trusted.borrow() {
            return Ok(trusted.connector.clone());
        }
        let _turn = self.reading.lock().await;
        if let Some(trusted) = &*self.trusted.borrow() {
            return Ok(trusted.connector.clone());
        }
        let read = self.read().await?;
        let connector = read.connector.clone();
        self.trusted.replace(Some(read));
        Ok(connector)
    }

    /// Reads files and parses certificates, so off the runtime's only thread.
    async fn read(&self) -> Result<Trusted, Error> {
        let (source, extra, asked) = (self.source.clone(), self.extra_roots.clone(), Arc::clone(&self.asked));
        let read = tokio::task::spawn_blocking(move || {
            let loaded = load(&source);
            let roots: Arc<[_]> = loaded.certs.into_iter().chain(extra).collect();
            let config = config(&roots, loaded.errors, asked)?;
            Ok((TlsConnector::from(Arc::new(config)), roots))
        });
        let read: Result<_, Error> = read.await.map_err(|error| Error::Roots(io::Error::other(error)))?;
        let (connector, roots) = read?;
        Ok(Trusted { connector, roots, read_at: Instant::now() })
    }
}

fn load(source: &Roots) -> CertificateResult {
    match source {
        Roots::System => load_native_certs(),
        Roots::File(path) => load_certs_from_paths(Some(path), None),
    }
}

/// Returns whether the two sides agreed on HTTP/2 (RFC 7301).
pub(super) fn chose_http2(stream: &TlsStream<Socket>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(HTTP2)
}

/// Prepares TLS with these roots; `errors` are those of reading them.
fn config(
    roots: &Arc<[CertificateDer<'static>]>,
    errors: Vec<rustls_native_certs::Error>,
    asked: Arc<Asked>,
) -> Result<ClientConfig, Error> {
    let mut store = RootCertStore::empty();
    let (usable, _) = store.add_parsable_certificates(roots.iter().cloned());
    tracing::debug!(usable, errors = errors.len(), "read the trusted root certificates");
    match errors.into_iter().next() {
        _ if usable > 0 => {}
        Some(error) => return Err(Error::Roots(io::Error::other(error))),
        None => return Err(Error::NoRoots),
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(Verifier::new(store, Arc::clone(roots), &provider)?);
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = builder.with_client_cert_resolver(asked);
    config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    Ok(config)
}

/// Presents no client certificate, and remembers that one was asked for.
#[derive(Debug, Default)]
struct Asked(AtomicBool);

impl ResolvesClientCert for Asked {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// Describes why a handshake failed.
fn handshake(error: &io::Error, asked: bool) -> String {
    const CLOSED: &str = "the receiver closed the connection during the handshake";
    match texts::tls_cause(error) {
        Some(cause) => asked
            .then(|| texts::refused_after_request(cause))
            .flatten()
            .unwrap_or_else(|| texts::tls(cause))
            .into(),
        None if error.kind() == io::ErrorKind::UnexpectedEof && asked => {
            format!("{CLOSED}, after it asked for a client certificate, of which decnet has none")
        }
        None if error.kind() == io::ErrorKind::UnexpectedEof => CLOSED.into(),
        None => format!("{} during the handshake", texts::io(error)),
    }
}
