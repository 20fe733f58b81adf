//! Bounds of the access to the HTTP API.

use std::time::Duration;

/// Maximum number of API tokens in a catalog, including revoked tokens. Beyond it the token that was revoked first is removed.
pub const MAX_API_TOKENS: usize = 1000;
/// Minimum time between two records of a token's last use, so that requests do not write to the disk.
pub const TOKEN_USE_INTERVAL: Duration = Duration::from_secs(60);
/// Minimum length of the secret of DECNET's session tokens, in characters (RFC 7518, section 3.2).
pub const MIN_JWT_SECRET_CHARS: usize = 32;
/// Number of different characters in a secret below which it is reported as guessable. The probability
/// that 32 random hexadecimal digits have fewer than 8 different values is one in ten million.
pub const MIN_JWT_SECRET_SYMBOLS: usize = 8;
/// Maximum length of a session token of DECNET, in bytes; tokens that DECNET issues have about 400.
pub const MAX_JWT_BYTES: usize = 4096;
/// Maximum length of the id of a user or a session in such a token, in bytes.
pub const MAX_JWT_ID_BYTES: usize = 256;
/// Tolerance for the time of issue of such a token, which may be ahead of this host's clock.
pub const JWT_CLOCK_SKEW: Duration = Duration::from_secs(30);
/// Maximum number of requests with wrong credentials from one address per [`AUTH_FAILURE_WINDOW`]; further requests are
/// answered with 429.
pub const MAX_AUTH_FAILURES: u32 = 30;
/// The window of [`MAX_AUTH_FAILURES`].
pub const AUTH_FAILURE_WINDOW: Duration = Duration::from_secs(60);
/// Maximum number of requests of one token per [`API_RATE_WINDOW`]; clients that publish more send batches.
pub const MAX_TOKEN_REQUESTS: u32 = 2000;
/// Maximum number of requests without a valid credential from one address per [`API_RATE_WINDOW`]. A proxy sends
/// the requests of several clients.
pub const MAX_ADDRESS_REQUESTS: u32 = 4000;
/// The window of [`MAX_TOKEN_REQUESTS`] and [`MAX_ADDRESS_REQUESTS`]: short, so that a limited client does not wait long.
pub const API_RATE_WINDOW: Duration = Duration::from_secs(1);
/// Maximum number of tokens or addresses with a counter of their own; all others share one counter.
pub const MAX_RATE_LIMITED_CLIENTS: usize = 16_384;
/// Time for which a browser may cache the decision whether an origin is allowed (CORS).
pub const CORS_MAX_AGE: Duration = Duration::from_secs(3600);
/// Time for which the link that creates the first token is valid.
pub const SETUP_LINK_TTL: Duration = Duration::from_secs(15 * 60);
/// Time for which a one-time login link of the dashboard is valid.
pub const LOGIN_LINK_TTL: Duration = Duration::from_secs(10 * 60);
/// Minimum lifetime of a token that expires.
pub const MIN_API_TOKEN_LIFETIME: Duration = Duration::from_millis(1);
/// Maximum lifetime of a token that expires.
pub const MAX_API_TOKEN_LIFETIME: Duration = Duration::from_secs(3650 * 86_400);
