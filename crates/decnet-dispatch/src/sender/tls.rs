//! TLS to receivers: the system's trusted roots, loaded once, when the first `https` receiver is dialled.

use std::io;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

/// Why a TLS connection did not come about.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(
        "no trusted root certificate was found on this system; install ca-certificates or set SSL_CERT_FILE"
    )]
    NoRoots,
    #[error("the trusted root certificates could not be read: {0}")]
    Roots(#[source] io::Error),
    #[error("TLS could not be set up: {0}")]
    Setup(#[from] rustls::Error),
    #[error("the host name cannot stand in a certificate: {0}")]
    Name(#[from] InvalidDnsNameError),
    #[error("TLS: {}", explain(.0))]
    Handshake(#[source] io::Error),
}

/// Encrypts connections; verifies the receiver against the system's roots and the extra ones.
pub(super) struct Tls {
    extra_roots: Vec<CertificateDer<'static>>,
    connector: OnceCell<TlsConnector>,
}

impl Tls {
    pub(super) fn new(extra_roots: Vec<CertificateDer<'static>>) -> Self {
        Self { extra_roots, connector: OnceCell::new() }
    }

    pub(super) async fn connect(&self, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, Error> {
        let name = ServerName::try_from(host.trim_start_matches('[').trim_end_matches(']'))?.to_owned();
        let connector = self.connector.get_or_try_init(|| self.load()).await?;
        connector.connect(name, stream).await.map_err(Error::Handshake)
    }

    /// Reads files, so off the runtime's only thread.
    async fn load(&self) -> Result<TlsConnector, Error> {
        let loaded = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
        let native = loaded.map_err(|error| Error::Roots(io::Error::other(error)))?;
        let mut roots = RootCertStore::empty();
        let (usable, _) = roots.add_parsable_certificates(native.certs);
        tracing::debug!(usable, errors = native.errors.len(), "loaded the system's root certificates");
        roots.add_parsable_certificates(self.extra_roots.iter().cloned());
        match native.errors.into_iter().next() {
            _ if !roots.is_empty() => Ok(TlsConnector::from(Arc::new(config(roots)?))),
            Some(error) => Err(Error::Roots(io::Error::other(error))),
            None => Err(Error::NoRoots),
        }
    }
}

/// Did the two sides agree on HTTP/2 (RFC 7301)?
pub(super) fn chose_http2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(HTTP2)
}

fn config(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    Ok(config)
}

/// The common causes in an operator's words, the others in the library's.
fn explain(error: &io::Error) -> String {
    use CertificateError as Certificate;
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let text = match cause {
        Some(rustls::Error::InvalidCertificate(problem)) => match problem {
            Certificate::Expired | Certificate::ExpiredContext { .. } => "certificate expired",
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => "certificate not valid yet",
            Certificate::UnknownIssuer => {
                "certificate of an unknown issuer; add its root to this system's trusted roots"
            }
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                "certificate is for another host name"
            }
            Certificate::Revoked => "certificate revoked",
            other => return format!("certificate refused: {other}"),
        },
        Some(rustls::Error::InvalidMessage(_)) => "the receiver does not speak TLS on this port",
        Some(rustls::Error::AlertReceived(alert)) => return format!("the receiver refused ({alert:?})"),
        Some(other) => return other.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "connection closed during the handshake",
        None => return format!("connection lost during the handshake: {error}"),
    };
    text.into()
}
