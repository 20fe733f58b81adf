//! Progress bars for long operations, shown only if stderr is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// The number of steps between two updates of the bar.
const STRIDE: u64 = 256;
/// Operations with fewer steps are too short for a bar.
const MIN_TOTAL: u64 = 1000;

/// The progress of an operation. Dropping it removes the bar.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Creates a bar up to `total`, or a counter if the total is unknown.
    pub(crate) fn new(total: Option<u64>, unit: &str) -> Self {
        let template = match total {
            Some(total) if total < MIN_TOTAL => return Self(ProgressBar::hidden()),
            Some(_) => {
                format!("{{wide_bar}} {{human_pos}} of {{human_len}} {unit}, {{per_sec}}, {{eta}} left")
            }
            None => format!("{{human_pos}} {unit}, {{per_sec}}"),
        };
        let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
        bar.set_style(ProgressStyle::with_template(&template).expect("the template is one of two above"));
        Self(bar)
    }

    /// Updates the position every [`STRIDE`] steps, which is cheap enough to call for each event.
    pub(crate) fn set(&self, done: u64) {
        if done.is_multiple_of(STRIDE) {
            self.0.set_position(done);
        }
    }

    /// Sets the position.
    pub(crate) fn set_position(&self, done: u64) {
        self.0.set_position(done);
    }
}
