//! What a delivery and a subscription are called inside the queue.

use std::fmt;
use std::str::FromStr;

use decnet_core::limits::MAX_FAN_OUT;

const NUMBER_BITS: u32 = DeliveryId::NUMBER_BITS;
const _: () = assert!(MAX_FAN_OUT.is_power_of_two());

/// A delivery: its event's sequence number, and its number among that event's deliveries.
///
/// Shown as `1042.0`. The deliveries of one event are one range of ids, so no index on the event is needed, and
/// ids ascend in the order of admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(i64);

/// The queue's own small number for a subscription's uuid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionKey(pub u32);

/// A text that names no delivery.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no delivery; deliveries are named like 1042.0, as `decnet delivery list` shows them")]
pub struct ParseDeliveryIdError(String);

impl DeliveryId {
    /// Bits of an id that hold its number.
    pub(super) const NUMBER_BITS: u32 = MAX_FAN_OUT.trailing_zeros();
    /// Highest sequence number; above it, ids would look like the order keys of redeliveries.
    pub(super) const MAX_SEQ: i64 = i64::MAX >> (NUMBER_BITS + 1);

    pub(super) fn new(seq: i64, number: u32) -> Self {
        debug_assert!(number < MAX_FAN_OUT && (0..=Self::MAX_SEQ).contains(&seq));
        Self(seq << NUMBER_BITS | i64::from(number))
    }

    pub(super) fn from_raw(raw: i64) -> Self {
        Self(raw)
    }

    pub(super) fn raw(self) -> i64 {
        self.0
    }

    /// Its event's sequence number.
    #[must_use]
    pub fn seq(self) -> i64 {
        self.0 >> NUMBER_BITS
    }

    /// Its number among its event's deliveries, from 0.
    #[must_use]
    pub fn number(self) -> u32 {
        u32::try_from(self.0 & i64::from(MAX_FAN_OUT - 1)).expect("fewer than 32 bits")
    }

    /// The `n`th delivery after this one, of the same event.
    ///
    /// # Panics
    /// In debug builds, where the event can have no such delivery.
    #[must_use]
    pub fn plus(self, n: u32) -> Self {
        Self::new(self.seq(), self.number() + n)
    }

    /// The last id that a delivery of the same event can have.
    pub(super) fn last_of_event(self) -> Self {
        Self::new(self.seq(), MAX_FAN_OUT - 1)
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.seq(), self.number())
    }
}

impl FromStr for DeliveryId {
    type Err = ParseDeliveryIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| ParseDeliveryIdError(text.into()))
    }
}

fn parse(text: &str) -> Option<DeliveryId> {
    let (seq, number) = text.split_once('.')?;
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(seq) || !digits(number) {
        return None;
    }
    let (seq, number) = (seq.parse().ok()?, number.parse().ok()?);
    (number < MAX_FAN_OUT && seq <= DeliveryId::MAX_SEQ).then(|| DeliveryId::new(seq, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_as_written() {
        for (seq, number) in [(0, 0), (1042, 0), (7, MAX_FAN_OUT - 1), (DeliveryId::MAX_SEQ, 3)] {
            let id = DeliveryId::new(seq, number);
            assert_eq!((id.seq(), id.number()), (seq, number));
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "1", "1.", ".1", "-1.0", "+1.0", "1.1048576", "9999999999999999.0", "1.0.0", "a.b"] {
            assert!(text.parse::<DeliveryId>().is_err(), "{text}");
        }
    }

    #[test]
    fn ids_ascend_with_their_events() {
        assert!(DeliveryId::new(1, MAX_FAN_OUT - 1) < DeliveryId::new(2, 0));
        assert_eq!(DeliveryId::new(5, 0).plus(2), DeliveryId::new(5, 2));
    }
}
