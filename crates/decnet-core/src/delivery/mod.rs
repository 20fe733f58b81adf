//! The life of a delivery: the outcome of an attempt, the verdict on it, and the state that follows.

mod outcome;
mod rendering;
mod schedule;
mod state;
mod status;
mod status_class;
mod timings;
mod verdict;

pub use outcome::{Outcome, ParseReasonError, Reason, retry_after};
pub use rendering::{Rendered, Rendering};
pub use schedule::{RetrySchedule, ScheduleError};
pub use state::{State, advance, counts_as_failed};
pub use status::{DeliveryStatus, ParseDeliveryStatusError};
pub use status_class::{ParseStatusClassError, StatusClass};
pub use timings::Timings;
pub use verdict::{Fate, Verdict, classify};
