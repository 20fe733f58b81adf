//! The way of an event, from the bus to its receivers.
//!
//! ```text
//! bus ──► intake ──► route ──► admit ──► lanes ──► send ──► settle
//! ```
//!
//! - `intake`: drains the bus on a thread of its own and makes events of what it reads;
//! - `dispatcher`: the loop that owns all lanes: routes, admits, starts attempts, settles them;
//! - `lane`, `members`, `in_hand` and `backlog`: what one subscription may do, what goes in one request, what of the queue it has,
//!   what waits there;
//! - `slots` and `memory`: how all lanes share the requests in flight and the memory;
//! - `spans`: what is told to whoever traces;
//! - `stats` and `shown`: what is counted, of all and of each subscription;
//! - [`sender`]: one attempt: guard, connect, sign, POST, read the reply;
//! - `worker`: starts and stops all of it.

mod backlog;
pub mod clock;
mod dispatcher;
mod hold;
mod in_hand;
mod inbox;
mod intake;
mod lane;
mod local_faults;
mod members;
mod memory;
mod options;
mod record;
pub mod sender;
mod shown;
mod slots;
mod spans;
mod stats;
mod status;
mod timers;
mod told;
mod trouble;
mod worker;

pub use dispatcher::Error;
pub use options::Options;
pub use shown::{About, Figures, Shown, Standing};
pub use spans::{Span, SpanKind, Spans};
pub use stats::{Counter, Stats};
pub use worker::Worker;
