//! A lane's access to the metrics of its subscription.

use std::sync::Arc;

use decnet_core::delivery::State;
use decnet_core::time::BootMicros;
use decnet_store::catalog::StoredSubscription;

use crate::lane_state::LaneState;
use crate::request_batch::DeliverySource;
use crate::subscription_metrics::{
    SharingActivity, SubscriptionLabels, SubscriptionMetrics, SubscriptionState,
};

/// A lane's share of the metrics in which it counts. Dropping it subtracts the share from the gauges.
#[derive(Debug)]
pub(crate) struct MetricsHandle {
    metrics: Arc<SubscriptionMetrics>,
    /// What is also counted separately if other lanes count in these metrics.
    activity: Option<Arc<SharingActivity>>,
    /// Whether no other lane counts in these metrics.
    pub(crate) is_individual: bool,
    state: SubscriptionState,
    /// Waiting deliveries that are in memory and in no index of the queue.
    memory_only: i64,
    /// Waiting deliveries in the queue's indexes, whether they are in memory or not.
    indexed: IndexRows,
    dead: IndexRows,
    in_flight: i64,
}

/// The number of a lane's rows in an index of the queue, as counted by the lane and corrected by each census.
#[derive(Debug, Default)]
struct IndexRows {
    count: i64,
    /// The number of rows that were added, removed or moved since the census started. The census may have missed each of them,
    /// or counted it twice.
    changes: u64,
}

impl IndexRows {
    fn add(&mut self, more: i64) {
        self.count += more;
        self.changes += more.unsigned_abs();
    }

    /// Corrects the count according to a census, except for the difference that changes since its start can explain. Returns the
    /// correction, and whether the census is to be repeated.
    fn apply_census(&mut self, found: u64, is_disturbed: bool) -> (i64, bool) {
        let difference = found.cast_signed() - self.count;
        let unexplained = difference.unsigned_abs().saturating_sub(self.changes).cast_signed();
        let correction = difference.signum() * unexplained;
        self.count += correction;
        (correction, difference != 0 && (is_disturbed || self.changes > 0))
    }
}

impl MetricsHandle {
    pub(crate) fn new(
        metrics: Arc<SubscriptionMetrics>,
        activity: Option<Arc<SharingActivity>>,
        is_individual: bool,
        state: SubscriptionState,
    ) -> Self {
        metrics.by_state[state as usize].add(1);
        Self {
            metrics,
            activity,
            is_individual,
            state,
            memory_only: 0,
            indexed: IndexRows::default(),
            dead: IndexRows::default(),
            in_flight: 0,
        }
    }

    /// Returns the metrics in which the lane counts.
    pub(crate) fn metrics(&self) -> &SubscriptionMetrics {
        &self.metrics
    }

    /// Returns the number of waiting deliveries, as far as it is known.
    pub(crate) fn waiting(&self) -> u64 {
        self.signed_waiting().max(0).unsigned_abs()
    }

    fn signed_waiting(&self) -> i64 {
        self.memory_only + self.indexed.count
    }

    /// Changes the labels, unless they belong to the shared set.
    pub(crate) fn update_labels(&self, change: impl FnOnce(&mut SubscriptionLabels)) {
        if self.is_individual {
            self.metrics.update_labels(change);
        }
    }

    /// Shows the state of a subscription, and why it is held if it is.
    pub(crate) fn show_state(&mut self, state: LaneState, stored: &StoredSubscription) {
        self.set_state(state.reported(stored));
        let hold = stored.hold.as_ref().map(|problem| problem.to_string().into());
        self.update_labels(|labels| labels.hold = hold);
    }

    pub(crate) fn set_state(&mut self, state: SubscriptionState) {
        if state == self.state {
            return;
        }
        let waiting = self.signed_waiting();
        self.add_to_gauge(-waiting);
        self.metrics.by_state[self.state as usize].add(-1);
        self.metrics.by_state[state as usize].add(1);
        self.state = state;
        self.add_to_gauge(waiting);
    }

    pub(crate) fn count_admitted(&mut self, is_held: bool) {
        if is_held {
            self.memory_only += 1;
        } else {
            self.indexed.add(1);
        }
        self.add_to_gauge(1);
    }

    /// Counts deliveries that were in memory only and are now in the queue's indexes.
    pub(crate) fn count_queued(&mut self, deliveries: usize) {
        let deliveries = i64::try_from(deliveries).unwrap_or(0);
        self.memory_only -= deliveries;
        self.indexed.add(deliveries);
    }

    /// Counts a committed settlement. A settlement that was not `applied` came too late and changed nothing.
    pub(crate) fn count_settled(&mut self, source: DeliverySource, state: &State, applied: bool) {
        let is_final = applied && state.is_final();
        match (source == DeliverySource::Admitted, is_final) {
            // Such a delivery was never in an index.
            (true, true) => self.memory_only -= 1,
            (true, false) => self.count_queued(1),
            (false, true) => self.indexed.add(-1),
            // The delivery moves to another place in the index.
            (false, false) => self.indexed.changes += 1,
        }
        if !is_final {
            return;
        }
        self.add_to_gauge(-1);
        if *state == State::Delivered {
            self.metrics.delivered.add(1);
            if let Some(activity) = &self.activity {
                activity.delivered.add(1);
            }
        } else {
            self.count_rejected();
        }
    }

    /// Counts a dead delivery that does not wait, or does not wait any more.
    pub(crate) fn count_rejected(&mut self) {
        self.metrics.dead_lettered.add(1);
        self.metrics.dead.add(1);
        self.dead.add(1);
    }

    pub(crate) fn start_request(&mut self) {
        self.in_flight += 1;
        self.metrics.in_flight.add(1);
    }

    pub(crate) fn finish_request(&mut self, failed: bool) {
        self.in_flight -= 1;
        self.metrics.in_flight.add(-1);
        self.metrics.failed_attempts.add(u64::from(failed));
        if let Some(activity) = self.activity.as_ref().filter(|_| failed) {
            activity.failed_attempts.add(1);
        }
    }

    pub(crate) fn set_last_error(&self, at: BootMicros, error: &str) {
        self.update_labels(|labels| labels.last_error = Some((at, error.into())));
    }

    /// Records that a census starts.
    pub(crate) fn start_census(&mut self) {
        (self.indexed.changes, self.dead.changes) = (0, 0);
    }

    /// Corrects the counts according to the result of a census of the queue's indexes, except for differences that changes since
    /// its start can explain. `is_disturbed`: writes were under way when it started or ended. Returns whether the census is to
    /// be repeated: there was a difference, and something changed, so the counts may still be wrong.
    pub(crate) fn apply_census(&mut self, waiting: u64, dead: u64, is_disturbed: bool) -> bool {
        let (waiting, is_waiting_unsure) = self.indexed.apply_census(waiting, is_disturbed);
        let (dead, is_dead_unsure) = self.dead.apply_census(dead, is_disturbed);
        self.add_to_gauge(waiting);
        self.metrics.dead.add(dead);
        is_waiting_unsure || is_dead_unsure
    }

    /// Adds to the gauge of waiting deliveries that belongs to the state.
    fn add_to_gauge(&self, more: i64) {
        let is_open = self.state == SubscriptionState::Open;
        let gauge = if is_open { &self.metrics.pending } else { &self.metrics.parked };
        gauge.add(more);
    }
}

impl Drop for MetricsHandle {
    fn drop(&mut self) {
        self.add_to_gauge(-self.signed_waiting());
        self.metrics.dead.add(-self.dead.count);
        self.metrics.in_flight.add(-self.in_flight);
        self.metrics.by_state[self.state as usize].add(-1);
    }
}

#[cfg(test)]
mod tests {
    use decnet_core::delivery::Reason;
    use decnet_runtime::metrics::Gauge;

    use super::*;
    use crate::subscription_metrics::SubscriptionRegistry;

    const DEAD: State = State::Dead { reason: Reason::Refused };

    fn handle() -> MetricsHandle {
        SubscriptionRegistry::default().register("uuid", "name", SubscriptionState::Open)
    }

    fn gauges(handle: &MetricsHandle) -> [u64; 4] {
        let metrics = handle.metrics();
        [&metrics.pending, &metrics.parked, &metrics.dead, &metrics.in_flight].map(Gauge::get)
    }

    #[test]
    fn waiting_deliveries_are_parked_while_not_open() {
        let mut handle = handle();
        (0..3).for_each(|_| handle.count_admitted(true));
        handle.count_settled(DeliverySource::Admitted, &State::Delivered, true);
        handle.count_queued(1);
        handle.set_state(SubscriptionState::Tripped);
        handle.count_settled(DeliverySource::Queued, &DEAD, true);
        handle.count_settled(DeliverySource::Admitted, &DEAD, false);
        assert_eq!(gauges(&handle), [0, 1, 1, 0]);
        handle.set_state(SubscriptionState::Open);
        assert_eq!(gauges(&handle), [1, 0, 1, 0]);
        let in_state = [SubscriptionState::Open, SubscriptionState::Tripped];
        assert_eq!(in_state.map(|state| handle.metrics().in_state(state)), [1, 0]);
    }

    #[test]
    fn changes_during_a_census_are_kept_and_it_is_repeated() {
        let mut handle = handle();
        handle.start_census();
        (0..3).for_each(|_| handle.count_admitted(false));
        assert!(handle.apply_census(1, 0, false), "it may have missed two of the new ones");
        assert_eq!(handle.waiting(), 3);
        assert!(handle.apply_census(100, 0, false), "the difference exceeds the changes");
        assert_eq!(handle.waiting(), 97);
        handle.start_census();
        assert!(!handle.apply_census(100, 0, false), "nothing has changed");
        assert_eq!(handle.waiting(), 100);
    }

    /// A worker starts with a large backlog and delivers some of it before the first census.
    #[test]
    fn census_of_a_quiet_lane_is_exact_after_one_of_a_busy_lane() {
        let mut handle = handle();
        handle.start_census();
        (0..10).for_each(|_| handle.count_settled(DeliverySource::Queued, &State::Delivered, true));
        assert!(handle.apply_census(1000, 0, false));
        handle.start_census();
        (0..985).for_each(|_| handle.count_settled(DeliverySource::Queued, &State::Delivered, true));
        assert!(handle.apply_census(10, 0, false), "the lane is still busy");
        handle.start_census();
        assert!(!handle.apply_census(5, 0, false));
        assert_eq!((handle.waiting(), gauges(&handle)[0]), (5, 5));
    }

    #[test]
    fn moves_within_the_queue_count_as_changes() {
        let mut handle = handle();
        (0..4).for_each(|_| handle.count_admitted(true));
        handle.start_census();
        handle.count_queued(3);
        handle.count_settled(DeliverySource::Admitted, &State::Pending, true);
        handle.count_settled(DeliverySource::Retry, &State::Pending, true);
        assert!(handle.apply_census(0, 0, false), "it may have missed all of them");
        assert_eq!(handle.waiting(), 4);
        handle.start_census();
        assert!(handle.apply_census(5, 0, true), "a write was under way");
        assert_eq!(handle.waiting(), 5);
    }

    /// A busy lane whose receiver keeps up has nothing in the indexes, so there is no reason to repeat the census.
    #[test]
    fn deliveries_from_memory_do_not_disturb_a_census() {
        let mut handle = handle();
        handle.start_census();
        for _ in 0..100 {
            handle.count_admitted(true);
            handle.count_settled(DeliverySource::Admitted, &State::Delivered, true);
        }
        handle.count_admitted(true);
        assert!(!handle.apply_census(0, 0, true));
        assert_eq!(handle.waiting(), 1);
    }

    #[test]
    fn census_adds_deliveries_that_are_in_memory_only() {
        let mut handle = handle();
        handle.count_admitted(true);
        handle.start_census();
        assert!(!handle.apply_census(10, 1, false));
        assert_eq!((handle.waiting(), gauges(&handle)), (11, [11, 0, 1, 0]));
    }
}
