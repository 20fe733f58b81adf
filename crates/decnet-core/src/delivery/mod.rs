//! A delivery's life: what an attempt came to, what that means, and the state it leads to.

mod outcome;
mod schedule;
mod state;

pub use outcome::{Outcome, Reason, Verdict, classify, retry_after};
pub use schedule::{RetrySchedule, ScheduleError};
pub use state::{State, advance, counts_as_failed};
