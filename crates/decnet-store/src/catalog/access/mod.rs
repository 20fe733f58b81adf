//! Access to the HTTP API: API tokens in a table of `decnet`, and sessions of DECNET's users in tables of DECNET.

mod schema;
mod sessions;
mod tokens;

pub use sessions::{DecnetUser, Session};
pub use tokens::{NewToken, StoredToken, TokenState};
