//! The counts of all deliveries, shared by all pages.
//!
//! Counting scans the queue. A result is therefore kept for a multiple of the time that it took, so that any number of open
//! pages uses at most a fixed part of one processor.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use axum::http::StatusCode;
use decnet_core::limits::{DASHBOARD_COUNT_SHARE, DASHBOARD_COUNT_TTL};
use decnet_core::time::UnixMicros;
use decnet_store::catalog::Row;
use decnet_store::queue::{self, Counts, Failures, Reader};
use decnet_web::chart::Sparkline;
use decnet_web::delivery::Name;
use decnet_web::failure::Group;
use decnet_web::receiver::Receiver;
use decnet_web::{Count, Span, Text};
use tokio::sync::Mutex;

use crate::problem::Problem;
use crate::routes::state_name;
use crate::state::{Shared, now};

/// All subscriptions with their counts, and all failures.
pub(super) struct Snapshot {
    /// The subscriptions by name.
    pub(super) receivers: Vec<Receiver>,
    /// The failures, the largest group first.
    pub(super) failures: Vec<Group>,
    pub(super) taken_at: UnixMicros,
}

/// The last snapshot.
#[derive(Default)]
pub(super) struct Snapshots(Mutex<Option<(Arc<Snapshot>, Instant)>>);

/// What the queue contains.
#[derive(Default)]
struct Queued {
    counts: Vec<(Counts, Option<UnixMicros>)>,
    failures: Vec<Failures>,
}

impl Snapshots {
    /// Returns a recent snapshot. Concurrent callers share one computation.
    ///
    /// # Errors
    /// The catalog or the queue cannot be read.
    pub(super) async fn get(&self, state: &Shared) -> Result<Arc<Snapshot>, Problem> {
        let mut last = self.0.lock().await;
        if let Some((snapshot, until)) = &*last
            && Instant::now() < *until
        {
            return Ok(Arc::clone(snapshot));
        }
        let started = Instant::now();
        let snapshot = Arc::new(Snapshot::take(state).await?);
        let kept = DASHBOARD_COUNT_TTL.max(started.elapsed() * DASHBOARD_COUNT_SHARE);
        *last = Some((Arc::clone(&snapshot), Instant::now() + kept));
        Ok(snapshot)
    }

    /// Drops the snapshot after a change, so that the next page shows it.
    pub(super) async fn invalidate(&self) {
        *self.0.lock().await = None;
    }
}

impl Snapshot {
    async fn take(state: &Shared) -> Result<Self, Problem> {
        let rows = state.catalog.run(|catalog| catalog.rows()).await?;
        // Before the worker first runs there is no queue; the overview says so.
        let queued = match state.queue.run(|reader| count(reader)).await {
            Err(problem) if problem.status() == StatusCode::SERVICE_UNAVAILABLE => Queued::default(),
            counted => counted?,
        };
        let now = now();
        let counts: HashMap<&str, _> =
            queued.counts.iter().map(|(counts, at)| (&*counts.uuid, (counts, *at))).collect();
        let mut receivers: Vec<_> =
            rows.iter().map(|row| receiver(row, counts.get(&*row.uuid).copied(), now)).collect();
        receivers.sort_by(|a, b| key(a).cmp(&key(b)));
        Ok(Self { receivers, failures: queued.failures.iter().map(group).collect(), taken_at: now })
    }

    /// Returns a subscription by its UUID.
    pub(super) fn find(&self, uuid: &str) -> Option<&Receiver> {
        self.receivers.iter().find(|receiver| receiver.uuid.raw() == uuid)
    }

    /// Returns the number of dead deliveries that were not redelivered.
    pub(super) fn open_failures(&self) -> Count {
        Count(self.failures.iter().map(|group| group.open.0).sum())
    }
}

/// Returns the order of a list of subscriptions.
pub(super) fn key(receiver: &Receiver) -> (&str, &str) {
    (receiver.name.raw(), receiver.uuid.raw())
}

/// Counts the deliveries, and finds the oldest that waits for each subscription.
fn count(reader: &Reader) -> Result<Queued, queue::Error> {
    let with_oldest = |counts: Counts| {
        let is_waiting = counts.pending + counts.retrying > 0;
        let oldest = if is_waiting { reader.oldest_waiting(counts.sub, None)? } else { None };
        let oldest = [oldest, counts.oldest_pending_at].into_iter().flatten().min();
        Ok::<_, queue::Error>((counts, oldest))
    };
    let counts = reader.counts()?.into_iter().map(with_oldest).collect::<Result<_, _>>()?;
    Ok(Queued { counts, failures: reader.failures()? })
}

/// Returns a row with its counts.
pub(super) fn receiver(
    row: &Row,
    counts: Option<(&Counts, Option<UnixMicros>)>,
    now: UnixMicros,
) -> Receiver {
    let sum = |of: fn(&Counts) -> u64| Count(counts.map_or(0, |(counts, _)| of(counts)));
    let error = row.problem.as_ref().or(row.last_error.as_ref());
    Receiver {
        uuid: Text::from(&*row.uuid),
        name: Text::from(&*row.name),
        url: row.redacted_url().into(),
        state: state_name(row),
        failures: Count(row.consecutive_failures.into()),
        error: error.map(|error| Text::from(&**error)),
        waiting: sum(|counts| counts.pending + counts.retrying),
        dead: sum(|counts| counts.dead),
        delivered: sum(|counts| counts.delivered),
        oldest: counts.and_then(|(_, oldest)| oldest).map(|oldest| Span(now.since(oldest))),
        last_success: row.last_success_at.map(Into::into),
        last_failure: row.last_failure_at.map(Into::into),
        activity: Sparkline::default(),
    }
}

fn group(failures: &Failures) -> Group {
    Group {
        subscription: Name { uuid: Text::from(&*failures.uuid), name: Text::from(&*failures.name) },
        reason: failures.reason.as_str(),
        open: Count(failures.open),
        redelivered: Count(failures.redelivered),
        oldest: failures.oldest_at.map(Into::into),
        newest: failures.newest_at.map(Into::into),
    }
}
