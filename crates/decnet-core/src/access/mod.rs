//! Authentication and authorisation for the HTTP API: scopes, API tokens, and sessions of DECNET's dashboard.

mod jwt;
mod scope;
mod token;

pub use jwt::{Claims, JwtKey, JwtProblem, ShortJwtSecret};
pub use scope::{ParseScopeError, Scope, Scopes};
pub use token::{ApiToken, RANDOM_BYTES, SECRET_BYTES, TokenDigest, check_token_name};
