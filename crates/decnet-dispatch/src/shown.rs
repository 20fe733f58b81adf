//! What is counted by subscription: each of the first `MAX_SHOWN_SUBSCRIPTIONS` by itself, the others together.
//!
//! A lane holds on to where it counts ([`Tally`]), so that counting looks nothing up. What is gone takes its share of
//! a common count with it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use decnet_core::delivery::State;
use decnet_core::limits::MAX_SHOWN_SUBSCRIPTIONS;
use decnet_core::measure::{Counter, Gauge};
use decnet_core::time::BootMicros;

use crate::members::Origin;

/// May a subscription's deliveries go?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Yes.
    Open,
    /// Paused until a probe gets through.
    Tripped,
    /// The receiver answered 410.
    Gone,
    /// An operator's wish: what is routed to it waits.
    Paused,
    /// An operator's wish, or a row that cannot be used.
    Disabled,
}

/// What one subscription, or all that have no place of their own, has come to.
#[derive(Debug, Default)]
pub struct Figures {
    about: Mutex<About>,
    /// Deliveries that a receiver took.
    pub delivered: Counter,
    /// Attempts that did not deliver.
    pub failed_attempts: Counter,
    /// Deliveries given up.
    pub died: Counter,
    /// Requests in flight.
    pub in_flight: Gauge,
    /// Deliveries that wait, in memory or in the queue, and may go.
    pub pending: Gauge,
    /// Deliveries that wait for the subscription to be open again.
    pub parked: Gauge,
    /// Deliveries given up and still kept.
    pub dead: Gauge,
    /// When the event of the oldest delivery that waits was admitted, in microseconds; 0 for none.
    pub oldest_at: Gauge,
    standings: [Gauge; Standing::ALL.len()],
}

/// Whose figures they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// Empty for those without a place of their own.
    pub uuid: Box<str>,
    /// The subscription's name now.
    pub name: Box<str>,
    /// What went wrong last, and when.
    pub last_error: Option<(BootMicros, Box<str>)>,
    /// Until when its receiver has asked to be sent nothing, if it has; it may have passed.
    pub deferred_until: Option<BootMicros>,
}

/// The figures of all subscriptions.
#[derive(Debug, Default)]
pub struct Shown {
    each: Mutex<Vec<Weak<Figures>>>,
    others: Arc<Figures>,
}

/// A lane's share in some figures.
#[derive(Debug)]
pub(crate) struct Tally {
    figures: Arc<Figures>,
    /// Nobody else counts there.
    is_own: bool,
    standing: Standing,
    /// What waits in memory, and in no index of the queue.
    fresh: i64,
    /// What waits in the queue's indexes, in memory too or not.
    indexed: Rows,
    dead: Rows,
    in_flight: i64,
}

/// Rows of the queue's indexes: how many we believe there are.
#[derive(Debug, Default)]
struct Rows {
    believed: i64,
    /// How many came, went or changed their place since a census began: it may have missed each, or counted it twice.
    moved: u64,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Open, Self::Tripped, Self::Gone, Self::Paused, Self::Disabled];

    /// As it is shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Tripped => "tripped",
            Self::Gone => "gone",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        }
    }
}

impl Figures {
    /// Whose they are.
    #[must_use]
    pub fn about(&self) -> About {
        self.about.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many subscriptions stand like this: one or none where the figures are of one.
    #[must_use]
    pub fn standing(&self, standing: Standing) -> u64 {
        self.standings[standing as usize].get()
    }

    fn tell(&self, change: impl FnOnce(&mut About)) {
        change(&mut self.about.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Shown {
    /// Those with a place of their own, in the order in which they got it.
    #[must_use]
    pub fn each(&self) -> Vec<Arc<Figures>> {
        let each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        each.iter().filter_map(Weak::upgrade).collect()
    }

    /// All the others together.
    #[must_use]
    pub fn others(&self) -> &Figures {
        &self.others
    }

    /// A place for a subscription, with all others if there is none of its own.
    pub(crate) fn place(&self, uuid: &str, name: &str, standing: Standing) -> Tally {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        if each.len() >= MAX_SHOWN_SUBSCRIPTIONS {
            each.retain(|figures| figures.strong_count() > 0);
        }
        let is_own = each.len() < MAX_SHOWN_SUBSCRIPTIONS;
        let figures = if is_own { Arc::default() } else { Arc::clone(&self.others) };
        if is_own {
            figures.tell(|about| (about.uuid, about.name) = (uuid.into(), name.into()));
            each.push(Arc::downgrade(&figures));
        }
        figures.standings[standing as usize].add(1);
        Tally {
            figures,
            is_own,
            standing,
            fresh: 0,
            indexed: Rows::default(),
            dead: Rows::default(),
            in_flight: 0,
        }
    }
}

impl Rows {
    fn add(&mut self, more: i64) {
        self.believed += more;
        self.moved += more.unsigned_abs();
    }

    /// Corrects what we believe by a census, as far as what moved meanwhile does not explain the difference. The
    /// correction, and whether there is a reason to count again.
    fn counted(&mut self, found: u64, disturbed: bool) -> (i64, bool) {
        let difference = found.cast_signed() - self.believed;
        let unexplained = difference.unsigned_abs().saturating_sub(self.moved).cast_signed();
        let correction = difference.signum() * unexplained;
        self.believed += correction;
        (correction, difference != 0 && (disturbed || self.moved > 0))
    }
}

impl Tally {
    /// Has the subscription a place of its own?
    pub(crate) fn is_own(&self) -> bool {
        self.is_own
    }

    pub(crate) fn figures(&self) -> &Arc<Figures> {
        &self.figures
    }

    /// What waits, as far as is known.
    pub(crate) fn waiting(&self) -> u64 {
        self.waits().max(0).unsigned_abs()
    }

    fn waits(&self) -> i64 {
        self.fresh + self.indexed.believed
    }

    pub(crate) fn renamed(&self, name: &str) {
        if self.is_own {
            self.figures.tell(|about| about.name = name.into());
        }
    }

    pub(crate) fn stands(&mut self, standing: Standing) {
        if standing == self.standing {
            return;
        }
        let waiting = self.waits();
        self.show(-waiting);
        self.figures.standings[self.standing as usize].add(-1);
        self.figures.standings[standing as usize].add(1);
        self.standing = standing;
        self.show(waiting);
    }

    pub(crate) fn admitted(&mut self, held: bool) {
        if held {
            self.fresh += 1;
        } else {
            self.indexed.add(1);
        }
        self.show(1);
    }

    /// What was in memory only is in the queue's indexes now.
    pub(crate) fn queued(&mut self, deliveries: usize) {
        let deliveries = i64::try_from(deliveries).unwrap_or(0);
        self.fresh -= deliveries;
        self.indexed.add(deliveries);
    }

    /// A settlement is committed; unless it was `applied` it came too late, and changed nothing.
    pub(crate) fn settled(&mut self, origin: Origin, state: &State, applied: bool) {
        let is_final = applied && state.is_final();
        match (origin == Origin::Admitted, is_final) {
            // It was in no index, and never will be.
            (true, true) => self.fresh -= 1,
            (true, false) => self.queued(1),
            (false, true) => self.indexed.add(-1),
            // It waits at another place.
            (false, false) => self.indexed.moved += 1,
        }
        if is_final {
            self.ended(*state == State::Delivered);
        }
    }

    fn ended(&mut self, delivered: bool) {
        self.show(-1);
        if delivered {
            self.figures.delivered.add(1);
        } else {
            self.figures.died.add(1);
            self.figures.dead.add(1);
            self.dead.add(1);
        }
    }

    pub(crate) fn begins(&mut self) {
        self.in_flight += 1;
        self.figures.in_flight.add(1);
    }

    pub(crate) fn ends(&mut self, failed: bool) {
        self.in_flight -= 1;
        self.figures.in_flight.add(-1);
        self.figures.failed_attempts.add(u64::from(failed));
    }

    pub(crate) fn failed(&self, at: BootMicros, error: &str) {
        if self.is_own {
            self.figures.tell(|about| about.last_error = Some((at, error.into())));
        }
    }

    pub(crate) fn deferred(&self, until: Option<BootMicros>) {
        if self.is_own {
            self.figures.tell(|about| about.deferred_until = until);
        }
    }

    /// A census begins.
    pub(crate) fn mark(&mut self) {
        (self.indexed.moved, self.dead.moved) = (0, 0);
    }

    /// What a census found in the queue's indexes goes before what we believed, unless what moved meanwhile explains the
    /// difference; `disturbed` if writes were under way at its begin or end. True where it is to be counted again: there
    /// was a difference, and something moved, so that what we believe now may still be wrong.
    pub(crate) fn counted(&mut self, waiting: u64, dead: u64, disturbed: bool) -> bool {
        let (waiting, is_waiting_unsure) = self.indexed.counted(waiting, disturbed);
        let (dead, is_dead_unsure) = self.dead.counted(dead, disturbed);
        self.show(waiting);
        self.figures.dead.add(dead);
        is_waiting_unsure || is_dead_unsure
    }

    /// So many more wait.
    fn show(&self, more: i64) {
        let gauge =
            if self.standing == Standing::Open { &self.figures.pending } else { &self.figures.parked };
        gauge.add(more);
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.show(-self.waits());
        self.figures.dead.add(-self.dead.believed);
        self.figures.in_flight.add(-self.in_flight);
        self.figures.standings[self.standing as usize].add(-1);
    }
}

#[cfg(test)]
mod tests {
    use decnet_core::delivery::Reason;

    use super::*;

    const DEAD: State = State::Dead { reason: Reason::Refused };

    fn figures(figures: &Figures) -> [u64; 4] {
        [&figures.pending, &figures.parked, &figures.dead, &figures.in_flight].map(Gauge::get)
    }

    #[test]
    fn beyond_the_first_all_are_counted_together_and_a_free_place_is_given_again() {
        let shown = Shown::default();
        let mut own: Vec<Tally> = (0..MAX_SHOWN_SUBSCRIPTIONS)
            .map(|n| shown.place(&n.to_string(), "own", Standing::Open))
            .collect();
        let mut beyond = [0, 1].map(|n| shown.place(&format!("beyond-{n}"), "beyond", Standing::Open));
        beyond.iter_mut().for_each(|tally| tally.admitted(false));
        assert_eq!(shown.each().len(), MAX_SHOWN_SUBSCRIPTIONS);
        assert_eq!((figures(shown.others()), shown.others().standing(Standing::Open)), ([2, 0, 0, 0], 2));
        own.pop();
        let late = shown.place("late", "late", Standing::Tripped);
        assert!(late.is_own() && shown.each().iter().any(|figures| &*figures.about().name == "late"));
        drop(beyond);
        assert_eq!((figures(shown.others()), shown.others().standing(Standing::Open)), ([0; 4], 0));
    }

    #[test]
    fn what_waits_is_parked_while_the_subscription_is_not_open() {
        let shown = Shown::default();
        let mut tally = shown.place("u", "n", Standing::Open);
        (0..3).for_each(|_| tally.admitted(true));
        tally.settled(Origin::Admitted, &State::Delivered, true);
        tally.queued(1);
        tally.stands(Standing::Tripped);
        tally.settled(Origin::Queued, &DEAD, true);
        tally.settled(Origin::Admitted, &DEAD, false);
        let own = &shown.each()[0];
        assert_eq!(figures(own), [0, 1, 1, 0]);
        tally.stands(Standing::Open);
        assert_eq!(
            (figures(own), own.standing(Standing::Open), own.standing(Standing::Tripped)),
            ([1, 0, 1, 0], 1, 0)
        );
    }

    #[test]
    fn a_census_leaves_alone_what_moved_while_it_counted_and_asks_for_another() {
        let shown = Shown::default();
        let mut tally = shown.place("u", "n", Standing::Open);
        tally.mark();
        (0..3).for_each(|_| tally.admitted(false));
        assert!(tally.counted(1, 0, false), "two came after they were counted, or were not there");
        assert_eq!(tally.waiting(), 3);
        assert!(tally.counted(100, 0, false), "more than could have moved");
        assert_eq!(tally.waiting(), 97);
        tally.mark();
        assert!(!tally.counted(100, 0, false), "nothing has moved");
        assert_eq!(tally.waiting(), 100);
    }

    /// A worker starts with much that waits, and delivers some of it before it has been counted.
    #[test]
    fn after_a_census_of_a_busy_lane_the_next_quiet_one_is_right() {
        let shown = Shown::default();
        let mut tally = shown.place("u", "n", Standing::Open);
        tally.mark();
        (0..10).for_each(|_| tally.settled(Origin::Queued, &State::Delivered, true));
        assert!(tally.counted(1000, 0, false));
        tally.mark();
        (0..985).for_each(|_| tally.settled(Origin::Queued, &State::Delivered, true));
        assert!(tally.counted(10, 0, false), "it is still busy");
        tally.mark();
        assert!(!tally.counted(5, 0, false));
        assert_eq!((tally.waiting(), figures(&shown.each()[0])[0]), (5, 5));
    }

    #[test]
    fn what_goes_back_to_the_queue_or_changes_its_place_there_moves_too() {
        let shown = Shown::default();
        let mut tally = shown.place("u", "n", Standing::Open);
        (0..4).for_each(|_| tally.admitted(true));
        tally.mark();
        tally.queued(3);
        tally.settled(Origin::Admitted, &State::Pending, true);
        tally.settled(Origin::Retry, &State::Pending, true);
        assert!(tally.counted(0, 0, false), "it may have passed them by");
        assert_eq!(tally.waiting(), 4);
        tally.mark();
        assert!(tally.counted(5, 0, true), "a write was under way");
        assert_eq!(tally.waiting(), 5);
    }

    /// A busy lane whose receiver keeps pace has nothing in the indexes: no reason to count it again and again.
    #[test]
    fn what_is_delivered_from_memory_disturbs_no_census() {
        let shown = Shown::default();
        let mut tally = shown.place("u", "n", Standing::Open);
        tally.mark();
        for _ in 0..100 {
            tally.admitted(true);
            tally.settled(Origin::Admitted, &State::Delivered, true);
        }
        tally.admitted(true);
        assert!(!tally.counted(0, 0, true));
        assert_eq!(tally.waiting(), 1);
    }

    #[test]
    fn a_census_adds_what_is_in_memory_only() {
        let shown = Shown::default();
        let mut tally = shown.place("u", "n", Standing::Open);
        tally.admitted(true);
        tally.mark();
        assert!(!tally.counted(10, 1, false));
        assert_eq!((tally.waiting(), figures(&shown.each()[0])), (11, [11, 0, 1, 0]));
    }
}
