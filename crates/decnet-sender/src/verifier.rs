//! The verification of receivers' certificates. In addition to what webpki accepts, a receiver may present a trusted root.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};

/// The error for a receiver whose own certificate is a CA certificate that is not a trusted root.
#[derive(Debug, thiserror::Error)]
#[error("the certificate is a CA certificate and not a trusted root itself")]
pub(crate) struct UntrustedCa;

/// A verifier based on webpki. A receiver may also present a trusted root as its own certificate, which is what
/// `openssl req -x509` creates for a single server. webpki rejects any CA certificate in this place, whereas OpenSSL accepts it.
#[derive(Debug)]
pub(crate) struct Verifier {
    webpki: Arc<WebPkiServerVerifier>,
    roots: Arc<[CertificateDer<'static>]>,
}

impl Verifier {
    /// Creates a verifier. `roots` are the certificates from which `store` was created.
    ///
    /// # Errors
    /// The store contains no root.
    pub(crate) fn new(
        store: RootCertStore,
        roots: Arc<[CertificateDer<'static>]>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, rustls::Error> {
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider));
        let webpki = builder.build().map_err(|error| rustls::Error::General(error.to_string()))?;
        Ok(Self { webpki, roots })
    }

    /// Accepts a CA certificate that is identical to a trusted root and valid for the host name. Its validity period has been
    /// verified: webpki checks it before the kind of certificate.
    fn verify_root(
        &self,
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if !self.roots.iter().any(|root| root == certificate) {
            return Err(CertificateError::Other(OtherError(Arc::new(UntrustedCa))).into());
        }
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        Ok(ServerCertVerified::assertion())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(error) if is_ca_as_end_entity(&error) => self.verify_root(end_entity, server_name),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

fn is_ca_as_end_entity(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = error else { return false };
    matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}
