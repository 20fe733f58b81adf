//! What TLS proves to a receiver and trusts for a subscription: its client certificate and its own trusted roots.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};

use decnet_core::settings::{ClientCertificate, Credentials, TrustRoots};
use decnet_runtime::sync::lock;
use rustls::RootCertStore;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsConnector;

/// The reason why credentials cannot be used. The texts contain no part of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsProblem {
    /// The chain has no readable certificate.
    #[error(
        "the client certificate cannot be read; it must be a PEM file with CERTIFICATE blocks, the client's own first"
    )]
    Chain,
    /// The key cannot be read.
    #[error(
        "the key of the client certificate cannot be read; it must be an unencrypted PEM file (PKCS #8, PKCS #1 or SEC 1)"
    )]
    Key,
    /// The key belongs to another certificate.
    #[error("the key does not belong to the client certificate")]
    OtherKey,
    /// The trusted roots have no usable certificate.
    #[error(
        "the trusted certificates cannot be read; they must be a PEM file with CERTIFICATE blocks of CA certificates"
    )]
    Roots,
}

/// Checks that the certificates and the key of credentials can be used.
///
/// # Errors
/// [`CredentialsProblem`].
pub fn check_credentials(credentials: &Credentials) -> Result<(), CredentialsProblem> {
    Identity::new(credentials).map(drop)
}

/// The client certificate and the trusted roots of connections. Identities with the same content are equal, so that their
/// subscriptions share connections; all others do not.
#[derive(Clone)]
pub(crate) struct Identity(Arc<Inner>);

struct Inner {
    digest: [u8; 32],
    certificate: Option<Arc<SingleCertAndKey>>,
    roots: Option<Arc<[CertificateDer<'static>]>>,
    connector: Mutex<Option<Cached>>,
}

/// A connector, and the roots that it trusts.
struct Cached {
    roots: Arc<[CertificateDer<'static>]>,
    connector: TlsConnector,
}

impl Identity {
    /// Returns the identity of a subscription; `None` if it presents no certificate and trusts the roots of the system.
    ///
    /// # Errors
    /// [`CredentialsProblem`].
    pub(crate) fn new(credentials: &Credentials) -> Result<Option<Self>, CredentialsProblem> {
        let Credentials { client_certificate, trust_roots, .. } = credentials;
        if client_certificate.is_none() && trust_roots.is_none() {
            return Ok(None);
        }
        let certificate = client_certificate.as_ref().map(certified_key).transpose()?;
        let roots = trust_roots.as_ref().map(parse_roots).transpose()?;
        let digest = digest(client_certificate.as_ref(), trust_roots.as_ref());
        Ok(Some(Self(Arc::new(Inner { digest, certificate, roots, connector: Mutex::default() }))))
    }

    /// Returns the trusted roots, if they are not those of the system.
    pub(crate) fn roots(&self) -> Option<&Arc<[CertificateDer<'static>]>> {
        self.0.roots.as_ref()
    }

    /// Returns what presents the client certificate, if there is one.
    pub(crate) fn certificate(&self) -> Option<Arc<dyn ResolvesClientCert>> {
        self.0.certificate.clone().map(|certificate| certificate as _)
    }

    /// Returns the connector that trusts exactly `roots`; `create` creates it at first, and after a change of the roots.
    ///
    /// # Errors
    /// That of `create`.
    pub(crate) fn connector<E>(
        &self,
        roots: &Arc<[CertificateDer<'static>]>,
        create: impl FnOnce() -> Result<TlsConnector, E>,
    ) -> Result<TlsConnector, E> {
        let mut cached = lock(&self.0.connector);
        match &*cached {
            Some(cached) if Arc::ptr_eq(&cached.roots, roots) => Ok(cached.connector.clone()),
            _ => {
                let connector = create()?;
                *cached = Some(Cached { roots: Arc::clone(roots), connector: connector.clone() });
                Ok(connector)
            }
        }
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.0.digest == other.0.digest
    }
}

impl Eq for Identity {}

impl Hash for Identity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.digest.hash(state);
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[TLS identity]")
    }
}

fn certified_key(certificate: &ClientCertificate) -> Result<Arc<SingleCertAndKey>, CredentialsProblem> {
    let chain = parse_certificates(certificate.chain()).ok_or(CredentialsProblem::Chain)?;
    let key = PrivateKeyDer::from_pem_slice(certificate.key().expose().as_bytes());
    let key = key.map_err(|_| CredentialsProblem::Key)?;
    let certified = CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider());
    let certified = certified.map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => CredentialsProblem::OtherKey,
        rustls::Error::InvalidCertificate(_) => CredentialsProblem::Chain,
        _ => CredentialsProblem::Key,
    })?;
    Ok(Arc::new(SingleCertAndKey::from(certified)))
}

fn parse_roots(roots: &TrustRoots) -> Result<Arc<[CertificateDer<'static>]>, CredentialsProblem> {
    let roots = parse_certificates(roots.as_str()).ok_or(CredentialsProblem::Roots)?;
    let (usable, _) = RootCertStore::empty().add_parsable_certificates(roots.iter().cloned());
    if usable == 0 { Err(CredentialsProblem::Roots) } else { Ok(roots.into()) }
}

/// Returns the certificates of a PEM text; `None` if there are none or one is malformed.
fn parse_certificates(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().ok()?;
    (!all.is_empty()).then_some(all)
}

/// Returns the SHA-256 of the certificates and the key, each with its length, so that different contents have different hashes.
fn digest(certificate: Option<&ClientCertificate>, roots: Option<&TrustRoots>) -> [u8; 32] {
    let chain = certificate.map_or("", ClientCertificate::chain);
    let key = certificate.map_or("", |certificate| certificate.key().expose());
    let mut hash = Sha256::new();
    for text in [chain, key, roots.map_or("", TrustRoots::as_str)] {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    hash.finalize().into()
}
