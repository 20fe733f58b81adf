//! Self-signed certificates of receivers and of their clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, date_time_ymd};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, version};

static SERIAL: AtomicU64 = AtomicU64::new(0);

/// TLS settings of a receiver.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// Host names or addresses in the certificate.
    pub(crate) names: Vec<String>,
    /// The years at whose beginnings the validity of the certificate begins and ends; by default it is valid now.
    pub(crate) valid_between: Option<(i32, i32)>,
    /// Whether the certificate is marked as a CA certificate (CA:TRUE).
    pub(crate) is_ca: bool,
    /// Whether clients must present a certificate.
    pub(crate) requires_client_certificate: bool,
    /// The certificates that are accepted from clients.
    pub(crate) clients: Vec<CertificateDer<'static>>,
    /// Whether to use TLS 1.2 only, instead of 1.2 and 1.3.
    pub(crate) only_tls12: bool,
}

/// A certificate and its acceptor.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    /// The certificate that a client must trust.
    pub(crate) root: CertificateDer<'static>,
    /// The certificate in PEM format.
    pub(crate) pem: String,
}

/// The certificate of a client with its key, in PEM format.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    /// The self-signed certificate.
    pub certificate: String,
    /// The private key (PKCS #8).
    pub key: String,
    pub(crate) der: CertificateDer<'static>,
}

impl ClientCertificate {
    /// Creates a certificate.
    #[must_use]
    pub fn generate() -> Self {
        let key = KeyPair::generate().expect("the system has randomness");
        let settings = Settings { names: vec!["client.example".into()], ..Settings::default() };
        let certificate = params(&settings).self_signed(&key).expect("a fresh key signs");
        Self { certificate: certificate.pem(), key: key.serialize_pem(), der: certificate.der().clone() }
    }
}

/// Returns an acceptor with a new certificate for these names, and the certificate (PEM) that a client must trust.
pub fn tls_acceptor(names: &[&str], protocols: &[&str]) -> (TlsAcceptor, String) {
    let names = names.iter().map(ToString::to_string).collect();
    let Tls { acceptor, pem, .. } = Tls::new(&Settings { names, ..Settings::default() }, protocols);
    (acceptor, pem)
}

impl Tls {
    /// Creates a certificate and an acceptor that offers these protocols (ALPN).
    pub(crate) fn new(settings: &Settings, protocols: &[&str]) -> Self {
        let key = KeyPair::generate().expect("the system has randomness");
        let certificate = params(settings).self_signed(&key).expect("a fresh key signs");
        let (root, pem) = (certificate.der().clone(), certificate.pem());
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let versions =
            if settings.only_tls12 { &[&version::TLS12][..] } else { &[&version::TLS13, &version::TLS12] };
        let builder = builder.with_protocol_versions(versions).expect("ring has these versions");
        let clients = if settings.requires_client_certificate {
            require_certificate(&root, &settings.clients)
        } else {
            WebPkiClientVerifier::no_client_auth()
        };
        let mut config = builder
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![root.clone()], private)
            .expect("the key is its own");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), root, pem }
    }
}

fn params(settings: &Settings) -> CertificateParams {
    let names = settings.names.clone();
    let mut params = CertificateParams::new(names).expect("host names that can stand in a certificate");
    // Clients could confuse two roots with the same name.
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    params
        .distinguished_name
        .push(DnType::CommonName, format!("receiver {serial} of {}", std::process::id()));
    if let Some((from, until)) = settings.valid_between {
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
    }
    if settings.is_ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    params
}

/// Creates a verifier that requires one of the clients' certificates; without any it requires one that no client has.
fn require_certificate(
    root: &CertificateDer<'static>,
    clients: &[CertificateDer<'static>],
) -> Arc<dyn ClientCertVerifier> {
    let mut roots = RootCertStore::empty();
    for certificate in if clients.is_empty() { std::slice::from_ref(root) } else { clients } {
        roots.add(certificate.clone()).expect("a certificate of ours can be a root");
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()));
    builder.build().expect("there is a root")
}
