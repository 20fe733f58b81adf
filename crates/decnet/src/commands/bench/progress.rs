//! What is being measured right now; on a terminal's stderr only.

use indicatif::{ProgressBar, ProgressStyle};

/// A line that says how far a step is.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        bar.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("the template is this one"));
        Self(bar)
    }

    /// Shows a step and how far it is.
    pub(super) fn show(&self, step: impl Into<String>) {
        self.0.set_message(step.into());
        self.0.tick();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
