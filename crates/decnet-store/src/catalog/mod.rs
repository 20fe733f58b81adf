//! The catalog: who is subscribed, in DECNET's own table `webhook_subscriptions`.
//!
//! The table belongs to DECNET: it is never altered, other processes write to it at any moment, and a row may
//! hold anything, since SQLite's columns are typed by their values. So every value is read as what it is, each
//! row is judged by itself, and a bad one costs the others nothing. Results are recorded only on the version of
//! a row that was used to get them. What we need beyond DECNET's columns has a table of ours.
//!
//! In the order a row meets them: [`CatalogUrl`] says where, [`Catalog::open`] opens or creates it,
//! [`Catalog::load`] reads what can be dispatched, [`Catalog::changes`] what differs since, [`Catalog::record`] writes down what came of it;
//! [`Catalog::rows`], [`Catalog::find`], [`Catalog::create`], [`Catalog::update`], [`Catalog::rotate_secret`] and
//! [`Catalog::delete`] are the operator's. `access` is who may use the HTTP API.

mod access;
mod cell;
mod changes;
mod edit;
mod error;
mod find;
mod judge;
mod load;
mod open;
mod overlap;
mod record;
mod row;
mod schema;
mod secret;
mod side;
mod trips;
mod url;

pub use access::{DecnetUser, NewToken, Session, StoredToken, TokenState};
pub use changes::{Changes, Seen};
pub use edit::{NewSubscription, Patch};
pub use error::Error;
pub use judge::{RowProblem, RowVersion, Stored};
pub use load::Snapshot;
pub use open::{Catalog, Create};
pub use overlap::{OldSecret, RotationError};
pub use record::{Change, Deferral, HealthUpdate, LastFailure, Recorded};
pub use row::Row;
pub use secret::generate_secret;
pub use url::{CatalogUrl, CatalogUrlError};
