//! What is counted by subscription: each of the first `MAX_SHOWN_SUBSCRIPTIONS` by itself, the others together.
//!
//! A lane holds on to where it counts ([`Tally`]), so that counting looks nothing up. What is gone takes its share of
//! a common count with it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use decnet_core::delivery::State;
use decnet_core::limits::MAX_SHOWN_SUBSCRIPTIONS;
use decnet_core::measure::{Counter, Gauge};
use decnet_core::time::UnixMicros;

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
    pub oldest_at: Counter,
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
    pub last_error: Option<(UnixMicros, Box<str>)>,
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
    /// What waits.
    waiting: i64,
    /// Of that, what is in memory and in no index of the queue.
    fresh: i64,
    dead: i64,
    in_flight: i64,
    /// Changes of what waits or is dead, since a census began.
    moves: u64,
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
        Tally { figures, is_own, standing, waiting: 0, fresh: 0, dead: 0, in_flight: 0, moves: 0 }
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
        self.waiting.max(0).unsigned_abs()
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
        let waiting = self.waiting;
        self.waits(-waiting);
        self.figures.standings[self.standing as usize].add(-1);
        self.figures.standings[standing as usize].add(1);
        self.standing = standing;
        self.waits(waiting);
    }

    pub(crate) fn admitted(&mut self, held: bool) {
        self.fresh += i64::from(held);
        self.waits(1);
    }

    /// What was in memory only is in the queue's indexes now.
    pub(crate) fn queued(&mut self, deliveries: usize) {
        self.fresh -= i64::try_from(deliveries).unwrap_or(0);
    }

    /// A settlement is committed; unless it was `applied` it came too late, and changed nothing.
    pub(crate) fn settled(&mut self, origin: Origin, state: &State, applied: bool) {
        self.queued(usize::from(origin == Origin::Admitted));
        match state {
            State::Delivered if applied => self.delivered(),
            State::Dead { .. } if applied => self.died(),
            _ => {}
        }
    }

    fn delivered(&mut self) {
        self.figures.delivered.add(1);
        self.waits(-1);
    }

    fn died(&mut self) {
        self.figures.died.add(1);
        self.figures.dead.add(1);
        self.dead += 1;
        self.waits(-1);
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

    pub(crate) fn failed(&self, at: UnixMicros, error: &str) {
        if self.is_own {
            self.figures.tell(|about| about.last_error = Some((at, error.into())));
        }
    }

    /// A census begins.
    pub(crate) fn mark(&mut self) {
        self.moves = 0;
    }

    /// What was counted in the queue goes before what we believed, unless what moved meanwhile explains the difference.
    pub(crate) fn counted(&mut self, waiting: u64, dead: u64) {
        let waiting = waiting.cast_signed().saturating_add(self.fresh) - self.waiting;
        let dead = dead.cast_signed() - self.dead;
        if waiting.unsigned_abs() > self.moves {
            self.waits(waiting);
        }
        if dead.unsigned_abs() > self.moves {
            self.figures.dead.add(dead);
            self.dead += dead;
        }
    }

    fn waits(&mut self, more: i64) {
        self.waiting += more;
        self.moves += 1;
        let gauge =
            if self.standing == Standing::Open { &self.figures.pending } else { &self.figures.parked };
        gauge.add(more);
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.waits(-self.waiting);
        self.figures.dead.add(-self.dead);
        self.figures.in_flight.add(-self.in_flight);
        self.figures.standings[self.standing as usize].add(-1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        tally.delivered();
        tally.queued(1);
        tally.stands(Standing::Tripped);
        tally.died();
        let own = &shown.each()[0];
        assert_eq!(figures(own), [0, 1, 1, 0]);
        tally.stands(Standing::Open);
        assert_eq!(
            (figures(own), own.standing(Standing::Open), own.standing(Standing::Tripped)),
            ([1, 0, 1, 0], 1, 0)
        );
    }

    #[test]
    fn a_census_leaves_alone_what_moved_while_it_counted() {
        let shown = Shown::default();
        let mut tally = shown.place("u", "n", Standing::Open);
        tally.mark();
        (0..3).for_each(|_| tally.admitted(false));
        tally.counted(1, 0);
        assert_eq!(tally.waiting(), 3, "two came after they were counted");
        tally.counted(100, 0);
        assert_eq!(tally.waiting(), 100, "more than could have moved");
    }

    #[test]
    fn a_census_adds_what_is_in_memory_only() {
        let shown = Shown::default();
        let mut tally = shown.place("u", "n", Standing::Open);
        tally.admitted(true);
        tally.mark();
        tally.counted(10, 4);
        assert_eq!((tally.waiting(), figures(&shown.each()[0])), (11, [11, 0, 4, 0]));
    }
}
