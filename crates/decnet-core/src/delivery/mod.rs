//! A delivery's life: what an attempt came to, what that means, and the state it leads to.

mod outcome;
mod schedule;
mod standing;
mod state;
mod timings;

pub use outcome::{Outcome, ParseReasonError, Reason, Verdict, classify, retry_after};
pub use schedule::{RetrySchedule, ScheduleError};
pub use standing::{ParseStandingError, Standing};
pub use state::{State, advance, counts_as_failed};
pub use timings::Timings;
