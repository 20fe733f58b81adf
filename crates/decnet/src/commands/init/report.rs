//! The outcomes of steps and their presentation as a checklist.

use serde_json::{Value, json};

use crate::output::{Paint, Text, pluralize};

/// The outcome of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The step was completed, or with `--dry-run` would be; a description.
    Done(String),
    /// There was nothing to do, for this reason.
    Skipped(String),
    /// The step failed; the reason and what to do.
    Failed(String),
}

impl Outcome {
    /// Returns a line of the checklist.
    pub(super) fn line(&self, what: &str, paint: Paint) -> Text {
        let (mut text, detail) = match self {
            Self::Done(detail) => (paint.good("[ OK ]"), detail),
            Self::Skipped(detail) => (paint.faint("[SKIP]"), detail),
            Self::Failed(detail) => (paint.bad("[FAIL]"), detail),
        };
        text += format!(" {what}: {detail}");
        text.end_line();
        text
    }

    pub(super) fn json(&self, what: &str) -> Value {
        let (outcome, detail) = match self {
            Self::Done(detail) => ("ok", detail),
            Self::Skipped(detail) => ("skip", detail),
            Self::Failed(detail) => ("fail", detail),
        };
        json!({"step": what, "outcome": outcome, "detail": detail})
    }

    pub(super) fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

/// Returns the final message if steps failed.
pub(super) fn failed(number: usize) -> String {
    format!(
        "{} failed; fix the reported problems and run this again: completed steps are skipped",
        pluralize(number as u64, "step", "steps")
    )
}
