//! Redelivery jobs, as the API returns them.

use serde::Deserialize;

use crate::advice::advice;
use crate::{Count, Text, Time, encode};

/// The redeliveries that run, and those that ended last.
#[derive(Debug, Default, Deserialize)]
pub struct Jobs {
    /// The redeliveries, oldest first.
    pub jobs: Vec<Job>,
}

/// A redelivery and its progress.
#[derive(Debug, Deserialize)]
pub struct Job {
    /// The id.
    pub id: Text,
    /// `running`, `done`, `cancelled` or `failed`.
    pub status: String,
    /// Whether the job only counts.
    pub dry_run: bool,
    /// The number of selected deliveries.
    pub total: Option<Count>,
    /// Skipped because they are still being sent.
    pub skipped_not_final: Option<Count>,
    /// Skipped because a later delivery of the same event exists.
    pub skipped_superseded: Option<Count>,
    /// Skipped because the subscription is deleted.
    pub skipped_deleted: Option<Count>,
    /// The number of processed deliveries.
    pub done: Count,
    /// The number of new deliveries.
    pub redelivered: Count,
    /// Why the job failed, or why it waits.
    pub error: Option<Text>,
    /// When it began.
    pub started_at: Time,
    /// When it ended.
    pub ended_at: Option<Time>,
}

impl Job {
    /// Returns whether the job is still at work.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.status == "running"
    }

    /// Returns what the job has done, in one sentence.
    #[must_use]
    pub fn outcome(&self) -> String {
        let Some(total) = self.total else {
            let is_counting = self.is_running();
            return if is_counting { "The deliveries are being counted." } else { "Nothing was sent again." }
                .into();
        };
        let sent = self.redelivered.of("was sent again", "were sent again");
        let processed = format!("{} of {}", self.done, total.of("delivery", "deliveries"));
        let rest = Count(total.0.saturating_sub(self.done.0)).of("remains as it was", "remain as they were");
        match &*self.status {
            "running" => format!("{processed} processed, {sent} so far."),
            "done" => format!("{} processed: {sent}.", total.of("delivery was", "deliveries were")),
            "cancelled" => format!("Cancelled after {processed}: {sent}, {rest}."),
            _ => format!("Failed after {processed}: {sent}, {rest}."),
        }
    }

    /// Returns the number of processed deliveries that could not be sent again.
    #[must_use]
    pub fn not_sent(&self) -> Count {
        Count(self.done.0.saturating_sub(self.redelivered.0))
    }

    /// Returns whether nothing was selected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total == Some(Count(0))
    }

    /// Returns the numbers of skipped deliveries, with the reasons.
    #[must_use]
    pub fn skipped(&self) -> Vec<(Count, &'static str)> {
        let all = [
            (self.skipped_not_final, "still being sent"),
            (self.skipped_superseded, "already redelivered"),
            (self.skipped_deleted, "of deleted subscriptions"),
        ];
        all.into_iter().filter_map(|(count, reason)| Some((count?, reason))).collect()
    }
}

/// The deliveries that a bulk redelivery selects.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Selection {
    /// The UUID of the subscription; empty for all.
    #[serde(default)]
    pub subscription: String,
    /// The reason; empty for all.
    #[serde(default)]
    pub reason: String,
}

impl Selection {
    /// Returns the query of a link to the preview.
    #[must_use]
    pub fn query(&self) -> String {
        format!("subscription={}&reason={}", encode(&self.subscription), encode(&self.reason))
    }

    /// Returns the reason in words; `None` for all reasons.
    #[must_use]
    pub fn reason_title(&self) -> Option<&'static str> {
        (!self.reason.is_empty()).then(|| advice(&self.reason).title)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(status: &str, total: Option<u64>) -> Job {
        serde_json::from_value(serde_json::json!({
            "id": "1-0", "status": status, "dry_run": false, "total": total, "skipped_not_final": null,
            "skipped_superseded": null, "skipped_deleted": null, "done": 1000, "redelivered": 999, "error": null,
            "started_at": "2026-04-24T00:00:00+00:00", "ended_at": null,
        }))
        .unwrap()
    }

    #[test]
    fn outcome_counts_what_was_sent() {
        assert_eq!(job("running", None).outcome(), "The deliveries are being counted.");
        assert_eq!(job("cancelled", None).outcome(), "Nothing was sent again.");
        let outcome = |status| job(status, Some(1500)).outcome();
        assert_eq!(outcome("running"), "1,000 of 1,500 deliveries processed, 999 were sent again so far.");
        let ended = "after 1,000 of 1,500 deliveries: 999 were sent again, 500 remain as they were.";
        assert_eq!(outcome("cancelled"), format!("Cancelled {ended}"));
        assert_eq!(outcome("failed"), format!("Failed {ended}"));
        assert_eq!(
            job("done", Some(1000)).outcome(),
            "1,000 deliveries were processed: 999 were sent again."
        );
        assert_eq!(job("done", Some(1000)).not_sent(), Count(1));
    }
}
