//! Who may use the HTTP API: our own tokens, in a table of ours, and the sessions of DECNET's users, in its tables.

mod schema;
mod sessions;
mod tokens;

pub use sessions::{DecnetUser, Session};
pub use tokens::{NewToken, StoredToken, TokenState};
