//! `--pattern` and `--event`: the topics of a subscription.

use decnet_core::subscription::{Problem, requested_patterns};
use decnet_core::topic::Pattern;

use crate::failure::Usage;

/// The topics of a subscription.
#[derive(Debug, clap::Args)]
pub(super) struct PatternArgs {
    /// A topic pattern: * matches one token, > all that follow
    #[arg(long = "pattern", value_name = "PATTERN", num_args = 1..)]
    patterns: Vec<String>,
    /// A friendly name: AttackerDetail, DeckyStatus or SystemStatus
    #[arg(long = "event", value_name = "EVENT", num_args = 1..)]
    events: Vec<String>,
}

impl PatternArgs {
    pub(super) fn is_empty(&self) -> bool {
        self.patterns.is_empty() && self.events.is_empty()
    }

    /// Returns the patterns without duplicates, those of friendly names first.
    ///
    /// # Errors
    /// There is no pattern, there are too many patterns, or a pattern is invalid.
    pub(super) fn read(&self) -> Result<Vec<Pattern>, Usage> {
        for text in &self.patterns {
            Pattern::new(text).map_err(|error| Usage::new(format!("--pattern `{text}`: {error}")))?;
        }
        requested_patterns(&self.events, &self.patterns).map_err(|problem| match problem {
            Problem::NoPattern => Usage::new("there is no valid pattern: specify --pattern or --event"),
            other => Usage::new(other.to_string()),
        })
    }
}
