//! Retain: what is old or too much goes, in steps small enough that delivery does not feel them.
//!
//! A pass walks over the deliveries in the order of admission ([`step`]) and ends where everything is too young.
//! While the file is over its size, pass follows pass, each under more [`Pressure`]; then free pages go back to
//! the disk ([`space`]), and the round is over. Between any two steps others commit.

mod space;
mod step;

use std::sync::Arc;
use std::time::Duration;

use decnet_core::time::UnixMicros;
use rustc_hash::FxHashSet;

use self::step::Bounds;
use super::error::Error;
use super::id::SubscriptionKey;
use super::ledger::Ledger;
use super::memory::forget_some;

/// How long, and how much, is kept.
///
/// When the file holds more than `max_bytes`, what is kept goes before its age, the oldest first, and no more
/// than is needed: first what was delivered, then what is dead, then what is parked. What is owed to a
/// subscription that is not `parked` is never removed, whatever its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Delivered ones, since they were.
    pub delivered_age: Duration,
    /// Dead ones, since they were given up.
    pub dead_age: Duration,
    /// Parked ones, since their event was admitted; then they are dead (expired).
    pub parked_age: Duration,
    /// Of the database file, without its log.
    pub max_bytes: u64,
    /// The subscriptions whose deliveries are parked now. Shared: each step of a round takes a copy.
    pub parked: Arc<FxHashSet<SubscriptionKey>>,
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retained {
    /// Delivered ones removed.
    pub delivered: u64,
    /// Dead ones removed.
    pub dead: u64,
    /// Parked ones that are dead now, for their age.
    pub expired: u64,
    /// Parked ones that expired for their size, and were removed at once.
    pub parked: u64,
    /// Events removed with their last delivery.
    pub events: u64,
    /// Bytes of the file in use, after this.
    pub bytes: u64,
    /// More than `max_bytes` are in use, and nothing is left that may be removed. Said by a round's last step.
    pub only_live_left: bool,
    /// Call again at once; otherwise the round is complete.
    pub more: bool,
}

/// Where the next step goes on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sweep {
    stage: Stage,
    pressure: Pressure,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// Ids up to this one were looked at in this pass.
    Walk(i64),
    /// A pass is complete.
    GiveBack,
}

/// How far size overrides age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Pressure {
    #[default]
    None,
    Delivered,
    Dead,
    Parked,
}

/// One small step; without a time, age removes nothing. Looks at `RETENTION_STEP_ROWS` deliveries at most, or gives a few pages back.
pub(super) fn retain(
    ledger: &mut Ledger,
    policy: &Retention,
    now: Option<UnixMicros>,
) -> Result<Retained, Error> {
    let conn = &ledger.conn;
    let more_to_forget = forget_some(conn, policy.max_bytes, now)?;
    let sweep = &mut ledger.sweep;
    let excess = space::used_bytes(conn)?.saturating_sub(policy.max_bytes);
    let mut done = Retained { more: true, ..Retained::default() };
    sweep.feel(excess);
    match sweep.stage {
        Stage::Walk(after) => {
            let bounds = Bounds::new(policy, sweep.pressure, excess, now);
            let last = step::take(conn, after, &bounds, &mut done)?;
            sweep.stage = last.map_or(Stage::GiveBack, Stage::Walk);
        }
        Stage::GiveBack if space::give_back(conn)? => {}
        Stage::GiveBack => {
            done.more = excess > 0 && sweep.escalate(policy);
            done.only_live_left = excess > 0 && !done.more;
        }
    }
    done.more |= more_to_forget;
    if !done.more {
        // The next round takes what was delivered meanwhile before anything else.
        *sweep = Sweep::default();
    }
    done.bytes = space::used_bytes(conn)?;
    ledger.used_bytes = done.bytes;
    Ok(done)
}

impl Default for Stage {
    fn default() -> Self {
        Self::Walk(0)
    }
}

impl Sweep {
    /// The first bytes too many begin the walk anew; without any, age alone decides.
    fn feel(&mut self, excess: u64) {
        if excess == 0 {
            self.pressure = Pressure::None;
        } else if self.pressure == Pressure::None {
            *self = Self { stage: Stage::default(), pressure: Pressure::Delivered };
        }
    }

    /// The pass did not free enough: the next one takes more. False if there is no more to take.
    fn escalate(&mut self, policy: &Retention) -> bool {
        let pressure = match self.pressure {
            Pressure::None => Pressure::Delivered,
            Pressure::Delivered => Pressure::Dead,
            Pressure::Dead if !policy.parked.is_empty() => Pressure::Parked,
            Pressure::Dead | Pressure::Parked => return false,
        };
        *self = Self { stage: Stage::default(), pressure };
        true
    }
}
