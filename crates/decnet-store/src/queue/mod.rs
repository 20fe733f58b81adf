//! Events, deliveries and attempts, in a SQLite file of its own: `queue.db` in the data directory.
//!
//! One worker process owns the queue ([`Queue`]); others read it ([`Reader`]), hand events in, or ask for redeliveries
//! ([`Operator`], [`Redelivery`]), or erase ([`Erasure`]). Inside the worker one thread writes, and commits whatever waited while the last commit
//! ran: the slower the disk, the larger the batch. Nothing is answered before it is on the disk.
//!
//! ```text
//!             admit                    settle
//!   nothing ───────► HELD or QUEUED ──────────► DELIVERED | DEAD(reason)
//!                     │  release ▲     │   ▲
//!                     └──────────┘     ▼   │ settle
//!                                    RETRYING(due_at)
//! ```
//!
//! - *HELD*: fresh, in the worker's memory; in no index, so that the fast path writes few pages. A later worker
//!   finds it QUEUED.
//! - *QUEUED*: waits for its lane to [claim](Queue::claim) it. Claiming writes nothing.
//! - *RETRYING*: claimable from `due_at` on.
//! - *DELIVERED*, *DEAD*: final; kept until [retention](Queue::retain) removes them.
//!
//! *Parked* is not stored: it is what a delivery is while it waits and its subscription is inactive.
//!
//! A delivery's attempts are numbered, and attempt `n` settles it only while it has `n - 1` attempts, so that a
//! late settlement changes nothing.

mod admit;
mod checkpoint;
mod claim;
mod connection;
mod displaced;
mod error;
mod handle;
mod health;
mod id;
mod job;
mod lease;
mod ledger;
mod memory;
mod operator;
mod reader;
mod recent;
mod register;
mod release;
mod rescue;
mod retain;
mod schema;
mod settle;
mod state;
mod stats;
mod submitted;
mod times;
mod trail;
mod waiting;
mod writer;

pub use admit::{Admission, Admitted, Recipient};
pub use claim::{Claim, Claimed, Delivery};
pub use connection::Options;
pub(crate) use connection::verify;
pub use error::{Error, Unfit};
pub use handle::Queue;
pub use health::Health;
pub use id::{DeliveryId, ParseDeliveryIdError, SubscriptionKey};
pub use lease::{Lease, is_owned};
pub use operator::{
    Erase, Erased, Erasure, IdempotencyKey, Operator, Redelivery, Step, Submission, Submitted, note_change,
};
pub use reader::{Active, Census, Counts, Detail, EventDetail, Filter, Found, Listed, Page, Reader, Search};
pub use rescue::check_remains;
pub use retain::{Retained, Retention};
pub use settle::{Attempt, Settlement};
pub use stats::Stats;
pub use submitted::{SubmissionId, Taken};
pub(crate) use times::forget_time;
pub use times::{Corrected, Correction, KnownTimes};
pub use waiting::Waiting;
