//! Events, deliveries and attempts, in their own SQLite file: `queue.db` in the data directory.
//!
//! One worker process owns the queue ([`Queue`]). Other processes read it ([`Reader`]), or write with an [`ExternalWriter`]: they
//! submit events, send old events again ([`Redelivery`]) or to other subscriptions ([`Backfill`]), and erase payloads ([`Erasure`]).
//! In the worker, one thread writes. Each commit contains everything that arrived during the previous one (group commit), so that
//! batches grow with the latency of the disk. A call returns only after its commit.
//!
//! ```text
//!             admit                    settle
//!   nothing ───────► HELD or QUEUED ──────────► DELIVERED | DEAD(reason)
//!                     │  release ▲     │   ▲
//!                     └──────────┘     ▼   │ settle
//!                                    RETRYING(due_at)
//! ```
//!
//! - *HELD*: admitted recently, and in the worker's memory. Not indexed, so that an admission writes few pages. The next
//!   worker changes it to QUEUED.
//! - *QUEUED*: waits until its lane [claims](Queue::claim) it. A claim writes nothing.
//! - *RETRYING*: can be claimed from `due_at` on.
//! - *DELIVERED*, *DEAD*: final; kept until [retention](Queue::prune) removes them.
//!
//! *Parked* is not stored: a delivery is parked while it waits and its subscription is inactive.
//!
//! The attempts of a delivery are numbered. Attempt `n` settles the delivery only if it has `n - 1` attempts, so that a late
//! settlement changes nothing. Some attempts are *free*: they use up no retry. Their number is stored too.

mod admit;
mod backlog;
mod checkpoint;
mod claim;
mod connection;
mod dedup;
mod displaced;
mod error;
mod external;
mod handle;
mod health;
mod held_watermark;
mod id;
mod idempotency;
mod job;
mod lease;
mod meta;
mod prune;
mod reader;
mod register;
mod release;
mod rendering;
mod rescue;
mod schema;
mod settle;
mod state;
mod stats;
mod submitted;
mod times;
mod writer;
mod writer_state;

pub use admit::{Admission, Admitted, Placement, Recipient, Rejection};
pub use backlog::SubscriptionBacklog;
pub use claim::{Claim, Claimed, Delivery};
pub use connection::{Options, prepare_copy, verify_copy};
pub use error::{Error, InvalidSubmission};
pub use external::{
    Backfill, BackfillTarget, Backfilled, Erased, Erasure, ErasureTarget, ExternalWriter, IdempotencyKey,
    Redelivery, RedeliveryStep, Submission, Submitted, record_catalog_change,
};
pub use handle::Queue;
pub use health::Health;
pub use id::{DeliveryId, ParseDeliveryIdError, SubscriptionKey};
pub use lease::{Lease, is_owned};
pub use prune::{Pruned, Retention};
pub use reader::{
    ActiveSubscriptions, Census, CensusCounts, Counts, Detail, EventDetail, Failures, Filter, Listed, Page,
    Reader, RecentTopic, RecentTopics, Search,
};
pub use rescue::check_remains;
pub use settle::{Attempt, Settlement};
pub use stats::Stats;
pub use submitted::{SubmissionId, SubmittedEvents};
pub use times::{Corrected, Correction, RecordedTimes};
