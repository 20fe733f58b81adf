//! The operations of the model test.

use proptest::prelude::*;
use proptest::sample::Index;

use super::{SUBMITTED, SUBS};

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Admits events by number, some of them repeated, each to some subscriptions, held or not.
    Admit(Vec<(usize, Vec<(usize, bool)>)>),
    /// Submits events by number from another process, some of them repeated.
    Submit(Vec<usize>),
    /// Reads all submitted events. Admits them to these subscriptions if `admit` is set.
    ReadSubmitted {
        to: Vec<(usize, bool)>,
        admit: bool,
    },
    Claim {
        sub: usize,
        exclude: Vec<Index>,
        limit: usize,
        max_bytes: usize,
    },
    /// Settles deliveries: which one, the attempt number relative to the expected one, and the result.
    Settle(Vec<(Index, i8, Fate)>),
    Release(Vec<Index>),
    Redeliver(Vec<Index>),
    Forget(usize),
    Retain {
        delivered_hours: u8,
        dead_hours: u8,
        parked: Option<usize>,
        parked_at_once: bool,
    },
    Wait(u8),
    Close,
    Drop,
    /// Continues with the files as a kill would leave them.
    Kill,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    Delivered,
    Retry { hours: u8, is_free: bool },
    Dead,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    use prop::collection::vec;
    let to = prop::collection::btree_map(0..SUBS, any::<bool>(), 0..=SUBS)
        .prop_map(|to| to.into_iter().collect::<Vec<_>>());
    let retry = (0..5u8, any::<bool>()).prop_map(|(hours, is_free)| Fate::Retry { hours, is_free });
    let fate = prop_oneof![Just(Fate::Delivered), retry, Just(Fate::Dead)];
    let turn = prop_oneof![4 => Just(0i8), 1 => -2..=2i8];
    let indexes = || vec(any::<Index>(), 0..4);
    prop_oneof![
        4 => vec((0..30usize, to.clone()), 1..4).prop_map(Step::Admit),
        2 => vec(SUBMITTED..SUBMITTED + 20, 1..5).prop_map(Step::Submit),
        2 => (to, any::<bool>()).prop_map(|(to, admit)| Step::ReadSubmitted { to, admit }),
        4 => (0..SUBS, indexes(), 0..6usize, prop_oneof![Just(usize::MAX), 1..400usize])
            .prop_map(|(sub, exclude, limit, max_bytes)| Step::Claim { sub, exclude, limit, max_bytes }),
        5 => vec((any::<Index>(), turn, fate), 1..5).prop_map(Step::Settle),
        2 => indexes().prop_map(Step::Release),
        1 => indexes().prop_map(Step::Redeliver),
        1 => (0..SUBS).prop_map(Step::Forget),
        1 => (0..6u8, 0..12u8, prop::option::of(0..SUBS), any::<bool>()).prop_map(
            |(delivered_hours, dead_hours, parked, parked_at_once)| {
                Step::Retain { delivered_hours, dead_hours, parked, parked_at_once }
            }
        ),
        2 => (1..4u8).prop_map(Step::Wait),
        1 => prop_oneof![Just(Step::Close), Just(Step::Drop), Just(Step::Kill)],
    ]
}
