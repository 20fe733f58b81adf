//! The checklist, as it is worked off.

use serde_json::{Value, json};

use crate::output::{Paint, Text, pluralize};

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was done, or with `--dry-run` would be.
    Done(String),
    /// There was nothing to do, for this reason.
    Skipped(String),
    /// It was not done; why, and what to do about it.
    Failed(String),
}

impl Outcome {
    /// A line of the checklist.
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

/// What to say at the end where something failed.
pub(super) fn failed(number: usize) -> String {
    format!(
        "{} failed; mend what is said there and run this again: what is done is skipped",
        pluralize(number as u64, "step", "steps")
    )
}
