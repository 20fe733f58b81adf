//! A receiver's certificate, made on the spot.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

static SERIAL: AtomicU64 = AtomicU64::new(0);

/// A self-signed certificate in use.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    /// What a client must trust.
    pub(crate) root: CertificateDer<'static>,
}

impl Tls {
    /// For these host names or addresses; speaks these protocols (ALPN).
    pub(crate) fn new(names: &[String], expired: bool, protocols: &[&str]) -> Self {
        let key = KeyPair::generate().expect("the system has randomness");
        let mut params = CertificateParams::new(names).expect("host names that can stand in a certificate");
        // Two roots of one name would be taken for each other.
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        params
            .distinguished_name
            .push(DnType::CommonName, format!("receiver {serial} of {}", std::process::id()));
        if expired {
            params.not_before = date_time_ymd(2000, 1, 1);
            params.not_after = date_time_ymd(2001, 1, 1);
        }
        let root = params.self_signed(&key).expect("a fresh key signs").der().clone();
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("ring has the default versions");
        let certificates = vec![root.clone()];
        let mut config = builder
            .with_no_client_auth()
            .with_single_cert(certificates, private)
            .expect("the key is its own");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), root }
    }
}
