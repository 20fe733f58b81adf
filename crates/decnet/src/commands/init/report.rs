//! The outcomes of steps and their presentation as a checklist.

use serde_json::json;

use crate::output::{self, Paint};

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
    /// Prints a line of the checklist, as text or as JSON. `what` names the step.
    pub(super) fn print(&self, what: &str, as_json: bool, paint: Paint) -> anyhow::Result<()> {
        let (outcome, mut text, detail) = match self {
            Self::Done(detail) => ("ok", paint.good("[ OK ]"), detail),
            Self::Skipped(detail) => ("skip", paint.faint("[SKIP]"), detail),
            Self::Failed(detail) => ("fail", paint.bad("[FAIL]"), detail),
        };
        if as_json {
            return output::json(&json!({"step": what, "outcome": outcome, "detail": detail}));
        }
        text.line(format!(" {what}: {detail}"));
        output::print(&text)
    }
}
