//! TLS of the benchmark's processes: a new self-signed certificate and a client that trusts it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use rcgen::{CertificateParams, KeyPair};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const HTTP1: &[u8] = b"http/1.1";

/// Creates the acceptor of a receiver on loopback and writes its certificate to `certificate`.
pub(super) fn acceptor(certificate: &Path) -> Result<TlsAcceptor> {
    let key = KeyPair::generate()?;
    let made = CertificateParams::new(["127.0.0.1".to_owned()])?.self_signed(&key)?;
    let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_single_cert(vec![made.der().clone()], private)?;
    config.alpn_protocols = vec![HTTP1.into()];
    fs::write(certificate, made.pem())?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Creates a connector that trusts only this certificate.
pub(super) fn connector(certificate: &Path) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![HTTP1.into()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
