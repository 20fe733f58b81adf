//! The verdict on an attempt, and what it means for each delivery in the request.

use std::time::Duration;

use super::{Outcome, Reason};

/// The meaning of an [`Outcome`] for the health of the subscription, as returned by [`classify`].
///
/// The fate of a delivery also depends on the request; see [`Verdict::fate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A 2xx. Resets the count of consecutive failures, and ends the trip of a tripped subscription.
    Delivered,
    /// A failure that may pass by itself: a network error, 408, 425, 429 or 5xx. Whether it counts against the
    /// receiver depends on the attempts so far, see [`counts_as_failed`](super::counts_as_failed).
    Retry {
        /// The cause of the failure.
        reason: Reason,
        /// The `Retry-After` of a 429 or 503. Holds back all requests of the subscription.
        after: Option<Duration>,
    },
    /// A refusal that a retry would not change. [`Reason::BodyRefused`] shows a healthy receiver, any other reason counts
    /// as a failed delivery.
    Reject(Reason),
    /// The destination refuses the credentials. Trips the subscription at once, and its deliveries wait for a successful probe:
    /// every other request would fail in the same way.
    Hold,
    /// A 410. Stops all sending to the subscription until an operator enables it. Its deliveries wait.
    Gone,
    /// Nothing was sent; see [`Outcome::LocalFault`]. The subscription pauses for
    /// [`LOCAL_FAULT_PAUSE`](crate::limits::LOCAL_FAULT_PAUSE); its health does not change.
    NotSent,
}

/// The fate of one delivery after an attempt. [`advance`](super::advance) turns it into the next state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Final: delivered.
    Delivered,
    /// Retried after the next delay of the retry schedule; dead if the schedule has no more delays.
    RetryBySchedule {
        /// The cause of the failure, and of death if no retry is left.
        reason: Reason,
        /// The lower bound of the delay, as requested by the receiver.
        after: Option<Duration>,
    },
    /// Due again at once, even if the retry schedule has no more delays. Parked while the subscription is tripped or gone.
    RetryNow,
    /// Final: kept, listed and redeliverable.
    Dead(Reason),
    /// Pending, as if there had been no attempt.
    Unattempted,
}

impl Fate {
    /// Returns whether the attempt is free: it uses up no retry, so that the next scheduled retry has the same delay as
    /// without it.
    #[must_use]
    pub fn is_free(&self) -> bool {
        matches!(self, Self::RetryNow | Self::Unattempted)
    }
}

impl Verdict {
    /// Returns the reason why the attempt did not deliver, or `None` if it did.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        match *self {
            Self::Delivered => None,
            Self::Retry { reason, .. } | Self::Reject(reason) => Some(reason),
            Self::Hold => Some(Reason::Unauthorized),
            Self::Gone => Some(Reason::Gone),
            Self::NotSent => Some(Reason::Internal),
        }
    }

    /// Returns whether the receiver is up and processes requests: it sent a 2xx, or refused only this body.
    #[must_use]
    pub fn shows_healthy_receiver(&self) -> bool {
        matches!(self, Self::Delivered | Self::Reject(Reason::BodyRefused))
    }

    /// Returns the fate of each delivery in a request with `batch_size` events.
    ///
    /// A failed probe of a tripped subscription does not delay or end the delivery that it was made with, and uses up none of
    /// its retries. A body of several events that is refused, or cannot be rendered, may be the fault of one of them, or only too
    /// large. Each event is therefore sent again in a [smaller batch](crate::settings::Batch::max_events_after).
    #[must_use]
    pub fn fate(&self, is_probe: bool, batch_size: usize) -> Fate {
        match *self {
            Self::Delivered => Fate::Delivered,
            Self::Retry { .. } if is_probe => Fate::RetryNow,
            Self::Retry { reason, after } => Fate::RetryBySchedule { reason, after },
            Self::Reject(Reason::BodyRefused | Reason::Template) if batch_size > 1 => Fate::RetryNow,
            Self::Reject(reason) => Fate::Dead(reason),
            Self::Hold | Self::Gone => Fate::RetryNow,
            Self::NotSent => Fate::Unattempted,
        }
    }
}

/// Returns the verdict on an outcome: a 2xx delivers, a failure that may pass by itself is retried, any other status is final.
#[must_use]
pub fn classify(outcome: &Outcome) -> Verdict {
    let (status, after) = match *outcome {
        Outcome::LocalFault => return Verdict::NotSent,
        Outcome::Failed(Reason::Template) => return Verdict::Reject(Reason::Template),
        // An authorization server gives no token for these credentials.
        Outcome::Failed(Reason::Unauthorized) => return Verdict::Hold,
        Outcome::Failed(reason) => return Verdict::Retry { reason, after: None },
        Outcome::Replied { status, retry_after } => (status, retry_after),
    };
    match status {
        200..=299 => Verdict::Delivered,
        // RFC 9110 section 15.4.5: 304 answers a conditional request, and these requests are not conditional.
        304 => Verdict::Reject(Reason::Refused),
        300..=399 => Verdict::Reject(Reason::Redirect),
        400 | 413 | 415 | 422 => Verdict::Reject(Reason::BodyRefused),
        408 | 425 => Verdict::Retry { reason: Reason::RetryRequested, after: None },
        410 => Verdict::Gone,
        429 => Verdict::Retry { reason: Reason::Throttled, after },
        503 => Verdict::Retry { reason: Reason::ServerError, after },
        500..=599 => Verdict::Retry { reason: Reason::ServerError, after: None },
        _ => Verdict::Reject(Reason::Refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdict_depends_on_status() {
        let after = Some(Duration::from_secs(7));
        let verdict = |status| classify(&Outcome::Replied { status, retry_after: after });
        let retry = |reason, after| Verdict::Retry { reason, after };
        for (statuses, expected) in [
            (&[200, 201, 204, 299][..], Verdict::Delivered),
            (&[300, 301, 302, 303, 307, 308], Verdict::Reject(Reason::Redirect)),
            (&[400, 413, 415, 422], Verdict::Reject(Reason::BodyRefused)),
            (&[304, 401, 403, 404, 405, 409, 418, 499, 100, 600, 999], Verdict::Reject(Reason::Refused)),
            (&[410], Verdict::Gone),
            (&[408, 425], retry(Reason::RetryRequested, None)),
            (&[429], retry(Reason::Throttled, after)),
            (&[503], retry(Reason::ServerError, after)),
            (&[500, 502, 504, 599], retry(Reason::ServerError, None)),
        ] {
            for &status in statuses {
                assert_eq!(verdict(status), expected, "{status}");
            }
        }
        assert_eq!(classify(&Outcome::Failed(Reason::Connect)), retry(Reason::Connect, None));
        assert_eq!(classify(&Outcome::LocalFault), Verdict::NotSent);
    }

    #[test]
    fn only_refused_batches_and_failed_probes_change_the_fate() {
        let after = Some(Duration::from_secs(7));
        let (reason, body) = (Reason::Throttled, Reason::BodyRefused);
        for (verdict, alone, in_batch, as_probe) in [
            (Verdict::Delivered, Fate::Delivered, Fate::Delivered, Fate::Delivered),
            (
                Verdict::Retry { reason, after },
                Fate::RetryBySchedule { reason, after },
                Fate::RetryBySchedule { reason, after },
                Fate::RetryNow,
            ),
            (Verdict::Reject(body), Fate::Dead(body), Fate::RetryNow, Fate::Dead(body)),
            (
                Verdict::Reject(Reason::Refused),
                Fate::Dead(Reason::Refused),
                Fate::Dead(Reason::Refused),
                Fate::Dead(Reason::Refused),
            ),
            (Verdict::Gone, Fate::RetryNow, Fate::RetryNow, Fate::RetryNow),
            (Verdict::NotSent, Fate::Unattempted, Fate::Unattempted, Fate::Unattempted),
        ] {
            assert_eq!(verdict.fate(false, 1), alone, "{verdict:?} alone");
            assert_eq!(verdict.fate(false, 2), in_batch, "{verdict:?} in a batch");
            assert_eq!(verdict.fate(true, 1), as_probe, "{verdict:?} as a probe");
        }
    }

    #[test]
    fn only_scheduled_retries_use_up_a_retry() {
        let (reason, after) = (Reason::ServerError, None);
        for (fate, is_free) in [
            (Fate::Delivered, false),
            (Fate::RetryBySchedule { reason, after }, false),
            (Fate::RetryNow, true),
            (Fate::Dead(reason), false),
            (Fate::Unattempted, true),
        ] {
            assert_eq!(fate.is_free(), is_free, "{fate:?}");
        }
    }
}
