//! TLS to receivers, verified against trusted roots that are loaded when the first `https` receiver is dialled, and again
//! when a receiver's issuer is unknown.

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
use rustls_native_certs::{load_certs_from_paths, load_native_certs};
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::identity::Identity;
use crate::sockets::{Shortage, Socket};
use crate::texts;
use crate::verifier::{UntrustedCa, Verifier};

const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

/// The protocols to offer (ALPN, RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocols {
    /// HTTP/2 and HTTP/1.1.
    Both,
    Http1,
}

/// The source of the trusted root certificates.
#[derive(Debug, Clone, Default)]
pub enum Roots {
    /// The system's store, or the files that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    #[default]
    System,
    /// Only this PEM file.
    File(PathBuf),
}

/// The reason why a TLS connection could not be established.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "no trusted root certificate was found on this host; install ca-certificates or set SSL_CERT_FILE"
    )]
    NoRoots,
    #[error(
        "the trusted root certificates could not be read; check that SSL_CERT_FILE and SSL_CERT_DIR are readable"
    )]
    Roots(#[source] io::Error),
    #[error("TLS could not be set up on this host")]
    Setup(#[from] rustls::Error),
    #[error("the host name is not a valid DNS name, so no certificate can match it")]
    Name(#[from] InvalidDnsNameError),
    #[error("{}", handshake_text(source, *certificate_requested))]
    Handshake {
        #[source]
        source: io::Error,
        /// Whether the receiver requested a client certificate.
        certificate_requested: bool,
    },
}

impl Error {
    /// Returns whether this host is the cause, so that nothing was sent to the receiver.
    pub(crate) fn is_local(&self) -> bool {
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

/// The TLS client. It verifies receivers against the trusted roots and the extra roots.
pub(crate) struct Tls {
    source: Roots,
    extra_roots: Vec<CertificateDer<'static>>,
    interval: Duration,
    loaded: RefCell<Option<LoadedRoots>>,
    /// The lock that is held while the roots are loaded, so that they are loaded once for all waiting connections.
    loading: Mutex<()>,
    client_certificate: Arc<NoClientCertificate>,
}

/// The roots that were loaded last, and the connector that uses them.
#[derive(Clone)]
struct LoadedRoots {
    connector: TlsConnector,
    roots: Arc<[CertificateDer<'static>]>,
    loaded_at: Instant,
}

impl Tls {
    /// Creates a client. `interval` is the shortest time between two loads of the roots.
    pub(crate) fn new(source: Roots, extra_roots: Vec<CertificateDer<'static>>, interval: Duration) -> Self {
        let (loaded, loading, client_certificate) = (RefCell::default(), Mutex::default(), Arc::default());
        Self { source, extra_roots, interval, loaded, loading, client_certificate }
    }

    /// Encrypts a connection with the identity of the subscription, if it has one. Returns the connection, and whether the receiver
    /// requested a client certificate and got none.
    pub(crate) async fn connect(
        &self,
        host: &str,
        protocols: Protocols,
        identity: Option<&Identity>,
        socket: Socket,
    ) -> Result<(TlsStream<Socket>, bool), Error> {
        let name = ServerName::try_from(host.trim_start_matches('[').trim_end_matches(']'))?.to_owned();
        let connector = match identity {
            Some(identity) => self.connector_of(identity).await?,
            None => self.loaded().await?.connector,
        };
        let mut handshake = pin!(async {
            match protocols {
                Protocols::Both => connector.connect(name, socket).await,
                Protocols::Http1 => connector.with_alpn(vec![HTTP1.to_vec()]).connect(name, socket).await,
            }
        });
        let mut certificate_requested = false;
        // All handshakes share the flag and run on this thread, so the poll that set the flag also reads it.
        let ended = poll_fn(|context| {
            let polled = handshake.as_mut().poll(context);
            certificate_requested |= self.client_certificate.requested.swap(false, Ordering::Relaxed);
            polled
        });
        match ended.await {
            Ok(stream) => Ok((stream, certificate_requested)),
            Err(source) => Err(Error::Handshake { source, certificate_requested }),
        }
    }

    /// Loads the roots again if `error` means that the loaded roots do not include the receiver's issuer, unless they were
    /// loaded within the interval. Returns whether they have changed.
    pub(crate) async fn reload_after(&self, error: &Error) -> bool {
        if !error.is_untrusted() {
            return false;
        }
        let _turn = self.loading.lock().await;
        let Some(before) = self.loaded.borrow().clone() else { return false };
        if before.loaded_at.elapsed() < self.interval {
            return false;
        }
        match self.load().await {
            Ok(now) if now.roots != before.roots => {
                tracing::info!(roots = now.roots.len(), "the trusted root certificates have changed");
                self.loaded.replace(Some(now));
                return true;
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "failed to reload the trusted root certificates; keeping the previous ones");
            }
        }
        self.loaded.replace(Some(LoadedRoots { loaded_at: Instant::now(), ..before }));
        false
    }

    /// Returns the roots of the system, and the connector that trusts them.
    async fn loaded(&self) -> Result<LoadedRoots, Error> {
        let loaded = || self.loaded.borrow().clone();
        if let Some(loaded) = loaded() {
            return Ok(loaded);
        }
        let _turn = self.loading.lock().await;
        if let Some(loaded) = loaded() {
            return Ok(loaded);
        }
        let loaded = self.load().await?;
        self.loaded.replace(Some(loaded.clone()));
        Ok(loaded)
    }

    /// Returns the connector with the client certificate and the roots of an identity.
    async fn connector_of(&self, identity: &Identity) -> Result<TlsConnector, Error> {
        let roots = match identity.roots() {
            Some(roots) => Arc::clone(roots),
            None => self.loaded().await?.roots,
        };
        identity.connector(&roots, || {
            let certificate = identity.certificate();
            let resolver = certificate.unwrap_or_else(|| Arc::clone(&self.client_certificate) as _);
            Ok(TlsConnector::from(Arc::new(config(&roots, Vec::new(), resolver)?)))
        })
    }

    /// Loads the roots on a blocking thread, since loading reads files and parses certificates.
    async fn load(&self) -> Result<LoadedRoots, Error> {
        let (source, extra) = (self.source.clone(), self.extra_roots.clone());
        let client_certificate = Arc::clone(&self.client_certificate);
        let loaded = tokio::task::spawn_blocking(move || {
            let loaded = match source {
                Roots::System => load_native_certs(),
                Roots::File(path) => load_certs_from_paths(Some(&path), None),
            };
            let roots: Arc<[_]> = loaded.certs.into_iter().chain(extra).collect();
            let config = config(&roots, loaded.errors, client_certificate)?;
            Ok((TlsConnector::from(Arc::new(config)), roots))
        });
        let loaded: Result<_, Error> = loaded.await.map_err(|error| Error::Roots(io::Error::other(error)))?;
        let (connector, roots) = loaded?;
        Ok(LoadedRoots { connector, roots, loaded_at: Instant::now() })
    }
}

/// Returns whether HTTP/2 was negotiated (RFC 7301).
pub(crate) fn negotiated_http2(stream: &TlsStream<Socket>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(HTTP2)
}

/// Creates the configuration with these roots; `errors` are the errors that occurred while loading the roots.
fn config(
    roots: &Arc<[CertificateDer<'static>]>,
    errors: Vec<rustls_native_certs::Error>,
    client_certificate: Arc<dyn ResolvesClientCert>,
) -> Result<ClientConfig, Error> {
    let mut store = RootCertStore::empty();
    let (usable, _) = store.add_parsable_certificates(roots.iter().cloned());
    tracing::debug!(usable, errors = errors.len(), "loaded the trusted root certificates");
    match errors.into_iter().next() {
        _ if usable > 0 => {}
        Some(error) => return Err(Error::Roots(io::Error::other(error))),
        None => return Err(Error::NoRoots),
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(Verifier::new(store, Arc::clone(roots), &provider)?);
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = builder.with_client_cert_resolver(client_certificate);
    config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    Ok(config)
}

/// A resolver that presents no client certificate and records that one was requested.
#[derive(Debug, Default)]
struct NoClientCertificate {
    requested: AtomicBool,
}

impl ResolvesClientCert for NoClientCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.requested.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// Describes why a handshake failed.
fn handshake_text(error: &io::Error, certificate_requested: bool) -> String {
    const CLOSED: &str = "the receiver closed the connection during the handshake";
    match texts::tls_cause(error) {
        Some(cause) => certificate_requested
            .then(|| texts::alert_after_certificate_request(cause))
            .flatten()
            .unwrap_or_else(|| texts::tls(cause))
            .into(),
        None if error.kind() == io::ErrorKind::UnexpectedEof && certificate_requested => {
            format!("{CLOSED}, after it asked for a client certificate, and decnet has none to present")
        }
        None if error.kind() == io::ErrorKind::UnexpectedEof => CLOSED.into(),
        None => format!("{} during the handshake", texts::io(error)),
    }
}
