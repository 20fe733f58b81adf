//! TLS of the benchmark's processes: a new self-signed certificate and a client that trusts it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Creates the acceptor of a receiver on loopback and writes its certificate to `certificate`.
pub(super) fn acceptor(certificate: &Path) -> Result<TlsAcceptor> {
    let (acceptor, pem) = decnet_testkit::tls_acceptor(&["127.0.0.1"], &["http/1.1"]);
    fs::write(certificate, pem)?;
    Ok(acceptor)
}

/// Creates a connector that trusts only this certificate.
pub(super) fn connector(certificate: &Path) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".into()];
    Ok(TlsConnector::from(Arc::new(config)))
}
