//! Bounds of the credentials of subscriptions and of their access tokens.

use std::time::Duration;

/// Maximum length of each text of a subscription's credentials, such as a token, in bytes.
pub const MAX_AUTH_TEXT_BYTES: usize = 4096;
/// Maximum length of a PEM text, in bytes: a chain or a list of about 30 certificates.
pub const MAX_PEM_BYTES: usize = 64 * 1024;
/// Maximum length of an access token, in bytes.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// Lifetime of an access token whose server does not state it.
pub const DEFAULT_TOKEN_LIFETIME: Duration = Duration::from_secs(5 * 60);
/// Maximum time for which an access token is used.
pub const MAX_TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Time before the end of its lifetime at which an access token is replaced; a quarter of the lifetime if that is shorter.
pub const TOKEN_EXPIRY_MARGIN: Duration = Duration::from_secs(30);
/// Timeout of a request for an access token. The request continues if the attempt that waits for it has a shorter timeout.
pub const TOKEN_DEADLINE: Duration = Duration::from_secs(20);
/// Time for which a token endpoint gets no further request after its first failure. Each further failure doubles it.
pub const TOKEN_RETRY_DELAY: Duration = Duration::from_secs(10);
/// Maximum time for which a token endpoint that fails gets no further request.
pub const MAX_TOKEN_RETRY_DELAY: Duration = Duration::from_secs(2 * 60);
/// Number of clients above which tokens that are not in use are dropped.
pub const MAX_TOKEN_CLIENTS: usize = 1024;
