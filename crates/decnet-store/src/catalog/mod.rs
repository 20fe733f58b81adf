//! The catalog of subscriptions in DECNET's own table `webhook_subscriptions`.
//!
//! The table belongs to DECNET. It is never altered, other processes write to it at any time, and a row may hold
//! anything because SQLite does not enforce column types. Therefore every value is read with the type that it has, and
//! an invalid row does not affect other rows. The result of a delivery is recorded only while the row has the version
//! that the attempt used. Data without a column in DECNET's table is in tables of `decnet`.
//!
//! - [`CatalogUrl`] locates the file, and [`Catalog::open`] opens or creates it.
//! - The worker calls [`Catalog::load`], then [`Catalog::changes`], and writes results with [`Catalog::record`].
//! - Operators call [`Catalog::rows`], [`Catalog::find`], [`Catalog::create`], [`Catalog::update`],
//!   [`Catalog::rotate_secret`] and [`Catalog::delete`].
//! - [`Catalog::with_keys`] sets the keys that encrypt secrets, and [`Catalog::reencrypt`] applies the first of them to all secrets.
//! - `tokens`, `links` and `sessions` contain API tokens, login links and dashboard sessions.
//! - [`Catalog::audit`] lists who changed what. Operators' changes are written with [`Catalog::acting_as`] their actor.

mod assignments;
mod audit;
mod destination;
mod diff;
mod draft;
mod edit;
mod encryption;
mod error;
mod extension_table;
mod find;
mod links;
mod load;
mod open;
mod record;
mod row;
mod schema;
mod schema_version;
mod secret;
mod secret_rotation;
mod sessions;
mod sql_value;
mod tokens;
mod trips;
mod url;
mod validate;

pub use audit::{Actor, AuditEntry, AuditFilter, AuditObject, FieldChange};
pub use diff::{Changes, RowDigests};
pub use edit::{NewSubscription, Patch};
pub(crate) use encryption::census as encryption_census;
pub use encryption::{Encryption, Reencrypted};
pub use error::Error;
pub use open::{Catalog, Create};
pub use record::{CircuitChange, Deferral, HealthUpdate, LastFailure, RecordOutcome};
pub use row::Row;
pub use secret::generate_secret;
pub use secret_rotation::RotationError;
pub use sessions::{DecnetUser, Session};
pub use tokens::{NewToken, StoredToken, TokenState};
pub use url::{CatalogUrl, CatalogUrlError};
pub use validate::{RowProblem, RowVersion, StoredSubscription};
