//! What a subscription proves to its receiver, and what it accepts as the receiver's proof.
//!
//! The values are secrets or large, so they are stored apart from the settings that people see.

mod json;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Headers;
use crate::limits::{MAX_AUTH_TEXT_BYTES, MAX_PEM_BYTES};
use crate::redact::{EndpointUrl, Secret};

/// The prefix of a private key (Standard Webhooks 1.0, "Signature scheme").
const PRIVATE_KEY_PREFIX: &str = "whsk_";
/// The length of an Ed25519 seed (RFC 8032, section 5.1.5).
const SEED_BYTES: usize = 32;
/// The length of an Ed25519 public key (RFC 8032, section 5.1.5).
const PUBLIC_KEY_BYTES: usize = 32;

/// The credentials of a subscription and the certificates that it trusts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The credentials in the header `authorization`.
    pub auth: Option<Auth>,
    /// The certificate and the key with which TLS authenticates decnet to the receiver.
    pub client_certificate: Option<ClientCertificate>,
    /// The only root certificates that are trusted; by default those of the system.
    pub trust_roots: Option<TrustRoots>,
    /// The key of the asymmetric signature, in addition to the other signatures.
    pub private_key: Option<PrivateKey>,
}

/// The credentials in the header `authorization`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// A user name and a password (RFC 7617).
    Basic {
        /// The user name, without a colon.
        user: Box<str>,
        /// The password.
        password: Secret,
    },
    /// A token that does not change (RFC 6750).
    Bearer(Secret),
    /// A token that an authorization server issues for client credentials (RFC 6749, section 4.4).
    OAuth2(Box<OAuth2>),
}

/// The client credentials for an authorization server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuth2 {
    /// The token endpoint.
    pub token_url: EndpointUrl,
    /// The client's identifier.
    pub client_id: Box<str>,
    /// The client's secret.
    pub client_secret: Secret,
    /// The requested scopes, separated by spaces.
    pub scope: Option<Box<str>>,
    /// The requested audience, which some servers need.
    pub audience: Option<Box<str>>,
    /// Whether the client authenticates in the body instead of with HTTP Basic (RFC 6749, section 2.3.1).
    pub in_body: bool,
}

/// A client certificate with its key, as PEM texts. The sender parses them.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    chain: Box<str>,
    key: Secret,
}

/// Root certificates as a PEM text. The sender parses it.
#[derive(Clone, PartialEq, Eq)]
pub struct TrustRoots(Box<str>);

/// An Ed25519 key: `whsk_`, and the seed in base64. Other senders append the public key to the seed; it is ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateKey(Secret);

/// The reason why credentials are rejected. The texts contain no part of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// A text is empty, too long or not printable.
    #[error("the {0} must be one line of 1 to {MAX_AUTH_TEXT_BYTES} bytes of printable ASCII")]
    Text(&'static str),
    /// The user name has a colon, which HTTP Basic cannot transmit.
    #[error("the user name must not contain a colon (RFC 7617)")]
    Colon,
    /// The token URL is invalid, or has user information.
    #[error("the token URL must be an http or https URL without a user name and a password")]
    TokenUrl,
    /// A PEM text is too large, or has no block of the expected kind.
    #[error("the {0} must be PEM text of at most {MAX_PEM_BYTES} bytes")]
    Pem(&'static str),
    /// The private key has a wrong form.
    #[error(
        "the private key must be `{PRIVATE_KEY_PREFIX}` and the seed ({SEED_BYTES} bytes), or the seed and the public key, in base64; create one with `decnet subscription key`"
    )]
    PrivateKey,
    /// Both the URL or a header and the credentials have an `authorization`.
    #[error(
        "only one of the URL's user information, the header `authorization` and the credentials can be set; remove the others"
    )]
    TwoAuthorizations,
    /// The stored text is not a JSON object of credentials.
    #[error("credentials must be a JSON object with the fields that decnet stores")]
    Json,
}

impl Credentials {
    /// Returns whether nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Checks that at most one of the URL, the headers and the credentials has an `authorization`.
    ///
    /// # Errors
    /// [`CredentialsError::TwoAuthorizations`].
    pub fn check(&self, url: &EndpointUrl, headers: &Headers) -> Result<(), CredentialsError> {
        let has_header = headers.names().any(|name| name == "authorization");
        let other = url.credentials().is_some() || has_header;
        if self.auth.is_some() && other { Err(CredentialsError::TwoAuthorizations) } else { Ok(()) }
    }
}

impl Auth {
    /// Validates a user name and a password.
    ///
    /// # Errors
    /// [`CredentialsError::Text`], [`CredentialsError::Colon`].
    pub fn basic(user: &str, password: Secret) -> Result<Self, CredentialsError> {
        if user.contains(':') {
            return Err(CredentialsError::Colon);
        }
        check_text(user, "user name")?;
        check_text(password.expose(), "password")?;
        Ok(Self::Basic { user: user.into(), password })
    }

    /// Validates a token.
    ///
    /// # Errors
    /// [`CredentialsError::Text`].
    pub fn bearer(token: Secret) -> Result<Self, CredentialsError> {
        check_text(token.expose(), "token")?;
        Ok(Self::Bearer(token))
    }
}

impl OAuth2 {
    /// Validates the client credentials.
    ///
    /// # Errors
    /// [`CredentialsError::Text`], [`CredentialsError::TokenUrl`].
    pub fn validated(self) -> Result<Self, CredentialsError> {
        check_text(&self.client_id, "client id")?;
        check_text(self.client_secret.expose(), "client secret")?;
        self.scope.iter().try_for_each(|scope| check_text(scope, "scope"))?;
        self.audience.iter().try_for_each(|audience| check_text(audience, "audience"))?;
        if self.token_url.credentials().is_some() { Err(CredentialsError::TokenUrl) } else { Ok(self) }
    }
}

impl ClientCertificate {
    /// Validates the sizes of a certificate chain, leaf first, and of its key.
    ///
    /// # Errors
    /// [`CredentialsError::Pem`].
    pub fn new(chain: &str, key: Secret) -> Result<Self, CredentialsError> {
        check_pem(chain, "client certificate")?;
        check_pem(key.expose(), "key of the client certificate")?;
        Ok(Self { chain: chain.into(), key })
    }

    /// Returns the certificates, leaf first.
    #[must_use]
    pub fn chain(&self) -> &str {
        &self.chain
    }

    /// Returns the private key.
    #[must_use]
    pub fn key(&self) -> &Secret {
        &self.key
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes of PEM and a key]", self.chain.len())
    }
}

impl TrustRoots {
    /// Validates the size of a list of certificates.
    ///
    /// # Errors
    /// [`CredentialsError::Pem`].
    pub fn new(pem: &str) -> Result<Self, CredentialsError> {
        check_pem(pem, "list of trusted certificates")?;
        Ok(Self(pem.into()))
    }

    /// Returns the PEM text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TrustRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes of PEM]", self.0.len())
    }
}

impl PrivateKey {
    /// Validates a key.
    ///
    /// # Errors
    /// [`CredentialsError::PrivateKey`].
    pub fn new(text: Secret) -> Result<Self, CredentialsError> {
        let key = Self(text);
        key.decode().map(|_| key.clone()).ok_or(CredentialsError::PrivateKey)
    }

    /// Returns the text with its prefix.
    #[must_use]
    pub fn as_secret(&self) -> &Secret {
        &self.0
    }

    /// Returns the seed.
    #[must_use]
    pub fn seed(&self) -> [u8; SEED_BYTES] {
        self.decode().expect("the constructor has decoded it")
    }

    fn decode(&self) -> Option<[u8; SEED_BYTES]> {
        let encoded = self.0.expose().strip_prefix(PRIVATE_KEY_PREFIX)?;
        let bytes = STANDARD.decode(encoded).ok()?;
        let (seed, public_key) = bytes.split_first_chunk()?;
        matches!(public_key.len(), 0 | PUBLIC_KEY_BYTES).then_some(*seed)
    }
}

fn check_text(text: &str, what: &'static str) -> Result<(), CredentialsError> {
    let is_valid = (1..=MAX_AUTH_TEXT_BYTES).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if is_valid { Ok(()) } else { Err(CredentialsError::Text(what)) }
}

/// Returns the number of certificates in a PEM text.
pub(super) fn count_certificates(pem: &str) -> usize {
    pem.matches("-----BEGIN CERTIFICATE-----").count()
}

fn check_pem(text: &str, what: &'static str) -> Result<(), CredentialsError> {
    let is_valid = text.len() <= MAX_PEM_BYTES && text.contains("-----BEGIN ");
    if is_valid { Ok(()) } else { Err(CredentialsError::Pem(what)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_printable_and_bounded() {
        let long = "x".repeat(MAX_AUTH_TEXT_BYTES);
        assert!(Auth::bearer(Secret::new(&*long)).is_ok());
        for bad in ["", "a\nb", "é", &format!("{long}x")] {
            assert_eq!(Auth::bearer(Secret::new(bad)), Err(CredentialsError::Text("token")), "{bad}");
        }
        assert_eq!(Auth::basic("a:b", Secret::new("x")), Err(CredentialsError::Colon));
        assert_eq!(Auth::basic("a", Secret::new("")), Err(CredentialsError::Text("password")));
    }

    #[test]
    fn private_keys_have_a_prefix_and_a_seed() {
        let seed = STANDARD.encode([7; SEED_BYTES]);
        let key = PrivateKey::new(Secret::new(format!("whsk_{seed}"))).unwrap();
        assert_eq!(key.seed(), [7; SEED_BYTES]);
        let pair = STANDARD.encode([[7; SEED_BYTES], [9; PUBLIC_KEY_BYTES]].concat());
        assert_eq!(PrivateKey::new(Secret::new(format!("whsk_{pair}"))).unwrap().seed(), [7; SEED_BYTES]);
        for bad in [seed.clone(), format!("whsec_{seed}"), "whsk_AAAA".to_owned(), format!("whsk_{seed}\n")] {
            assert_eq!(PrivateKey::new(Secret::new(bad)), Err(CredentialsError::PrivateKey));
        }
    }

    #[test]
    fn pem_texts_are_bounded() {
        let large = format!("-----BEGIN CERTIFICATE-----{}", "x".repeat(MAX_PEM_BYTES));
        for bad in ["", "hunter2", &large] {
            assert_eq!(TrustRoots::new(bad), Err(CredentialsError::Pem("list of trusted certificates")));
        }
    }

    #[test]
    fn only_one_authorization_can_be_set() {
        let url = |text| EndpointUrl::new(text).unwrap();
        let bearer = Credentials { auth: Auth::bearer(Secret::new("x")).ok(), ..Credentials::default() };
        let headers = Headers::new([("Authorization", "y")]).unwrap();
        let (plain, with_user) = (url("https://a.example/"), url("https://u:p@a.example/"));
        assert_eq!(bearer.check(&plain, &Headers::default()), Ok(()));
        assert_eq!(bearer.check(&with_user, &Headers::default()), Err(CredentialsError::TwoAuthorizations));
        assert_eq!(bearer.check(&plain, &headers), Err(CredentialsError::TwoAuthorizations));
        assert_eq!(Credentials::default().check(&plain, &headers), Ok(()));
    }
}
