//! Who may do what at the HTTP API: scopes, our own tokens, and the sessions of DECNET's dashboard.

mod jwt;
mod scope;
mod token;

pub use jwt::{Claims, JwtKey, JwtProblem, JwtWeakness, WeakJwtKey};
pub use scope::{Scope, Scopes, UnknownScope};
pub use token::{ApiToken, RANDOM_BYTES, TokenDigest, check_token_name};
