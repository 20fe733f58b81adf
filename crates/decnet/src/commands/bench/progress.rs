//! The progress of a run, shown only if stderr is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A line with the progress of the current step.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        bar.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("the template is valid"));
        Self(bar)
    }

    /// Shows a step and its progress.
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
