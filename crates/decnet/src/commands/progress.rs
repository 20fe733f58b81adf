//! A bar for what takes longer than a glance; on a terminal's stderr only.

use indicatif::{ProgressBar, ProgressStyle};

/// Steps between two looks at the bar.
const STRIDE: u64 = 256;
/// What is done sooner than a bar can be read gets none.
const WORTH_A_BAR: u64 = 1000;

/// How far something is.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar towards `total`, or a count without an end.
    pub(crate) fn new(total: Option<u64>, unit: &str) -> Self {
        let template = match total {
            Some(total) if total < WORTH_A_BAR => return Self(ProgressBar::hidden()),
            Some(_) => {
                format!("{{wide_bar}} {{human_pos}} of {{human_len}} {unit}, {{per_sec}}, {{eta}} left")
            }
            None => format!("{{human_pos}} {unit}, {{per_sec}}"),
        };
        let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
        bar.set_style(ProgressStyle::with_template(&template).expect("the template is one of two above"));
        Self(bar)
    }

    /// `done` are done.
    pub(crate) fn set(&self, done: u64) {
        if done.is_multiple_of(STRIDE) {
            self.0.set_position(done);
        }
    }

    /// Exactly so many are done.
    pub(crate) fn set_position(&self, done: u64) {
        self.0.set_position(done);
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
