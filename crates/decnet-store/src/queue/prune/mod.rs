//! Pruning: removes deliveries by age and size, in steps small enough not to delay other commits.
//!
//! A pass walks over the deliveries in the order of admission ([`step`]) and ends at the first delivery that is too young. While
//! the file exceeds its maximum size, further passes follow, each with more [`Pressure`]. Then free pages are returned to the
//! file system ([`space`]), which completes the round. Other commits run between two steps.

mod space;
mod step;

use std::sync::Arc;
use std::time::Duration;

use decnet_core::time::UnixMicros;
use rustc_hash::FxHashSet;

use self::step::Bounds;
pub(super) use self::step::REMOVED_UP_TO;
use super::error::Error;
use super::id::SubscriptionKey;
use super::idempotency::expire_some;
use super::rendering;
use super::writer_state::WriterState;

/// The retention policy: the time for which deliveries are kept, and the maximum size of the database.
///
/// When the file exceeds `max_bytes`, deliveries are removed earlier, the oldest first and no more than necessary: first
/// delivered, then dead, and finally parked deliveries. A waiting delivery of a subscription that is not in `parked` is
/// never removed, regardless of the size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// The time for which a delivery is kept after it was delivered.
    pub delivered_age: Duration,
    /// The time for which a dead delivery is kept after it was given up.
    pub dead_age: Duration,
    /// The time for which a parked delivery may wait after the admission of its event. After that, it is dead (expired).
    pub parked_age: Duration,
    /// The maximum size of the database file, without its log.
    pub max_bytes: u64,
    /// The subscriptions whose deliveries are parked. Shared, because each step of a round gets a copy.
    pub parked: Arc<FxHashSet<SubscriptionKey>>,
}

/// The result of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Delivered deliveries that were removed.
    pub delivered: u64,
    /// Dead deliveries that were removed.
    pub dead: u64,
    /// Parked deliveries that became dead because of their age.
    pub expired: u64,
    /// Parked deliveries that were removed because of the size.
    pub parked: u64,
    /// Events that were removed with their last delivery.
    pub events: u64,
    /// The number of bytes in use in the file after this step.
    pub bytes: u64,
    /// Whether more than `max_bytes` are in use, and nothing else may be removed. Set only by the last step of a round.
    pub only_live_left: bool,
    /// Whether the next step is to run at once. Otherwise the round is complete.
    pub more: bool,
}

/// The position at which the next step continues.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PruneCursor {
    stage: Stage,
    pressure: Pressure,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// The pass has checked the ids up to this id.
    Walk(i64),
    /// The pass is complete.
    Vacuum,
}

/// The kinds of deliveries that are removed because of the size, regardless of age; each level includes the previous levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Pressure {
    #[default]
    None,
    Delivered,
    Dead,
    Parked,
}

/// Runs one step: checks at most `RETENTION_STEP_ROWS` deliveries, or returns some pages to the file system. Without a time,
/// nothing is removed because of its age.
pub(super) fn prune(
    writer: &mut WriterState,
    policy: &Retention,
    now: Option<UnixMicros>,
) -> Result<Pruned, Error> {
    let conn = &writer.conn;
    let more_to_expire = expire_some(conn, policy.max_bytes, now)?;
    let cursor = &mut writer.prune_cursor;
    let excess = space::used_bytes(conn)?.saturating_sub(policy.max_bytes);
    let mut pruned = Pruned { more: true, ..Pruned::default() };
    cursor.update(excess);
    match cursor.stage {
        Stage::Walk(after) => {
            let bounds = Bounds::new(policy, cursor.pressure, excess, now);
            let last = step::run(conn, after, &bounds, &mut pruned)?;
            cursor.stage = last.map_or(Stage::Vacuum, Stage::Walk);
        }
        Stage::Vacuum if space::vacuum_some(conn)? => {}
        Stage::Vacuum => {
            pruned.more = excess > 0 && cursor.escalate(policy);
            pruned.only_live_left = excess > 0 && !pruned.more;
        }
    }
    pruned.more |= more_to_expire;
    if !pruned.more {
        // The next round starts again with delivered deliveries.
        *cursor = PruneCursor::default();
        rendering::prune(conn)?;
    }
    pruned.bytes = space::used_bytes(conn)?;
    writer.used_bytes = pruned.bytes;
    Ok(pruned)
}

impl Default for Stage {
    fn default() -> Self {
        Self::Walk(0)
    }
}

impl PruneCursor {
    /// Restarts the walk when the file begins to exceed its maximum size. Without excess, only the age counts.
    fn update(&mut self, excess: u64) {
        if excess == 0 {
            self.pressure = Pressure::None;
        } else if self.pressure == Pressure::None {
            *self = Self { stage: Stage::default(), pressure: Pressure::Delivered };
        }
    }

    /// Starts a pass with more pressure, because the last pass did not free enough. Returns whether there is a higher level.
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
