//! Identifiers of deliveries and subscriptions in the queue.

use std::fmt;
use std::str::FromStr;

use decnet_core::limits::MAX_FAN_OUT;

const NUMBER_BITS: u32 = DeliveryId::NUMBER_BITS;
const _: () = assert!(MAX_FAN_OUT.is_power_of_two());

/// The id of a delivery: its event's sequence number, and its number among that event's deliveries.
///
/// Displayed as `1042.0`. The deliveries of one event form a range of ids, so no index on the event is needed. Ids ascend in
/// the order of admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(pub(super) i64);

/// The small number that represents a subscription's UUID in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionKey(pub u32);

/// The error for a text that is not a delivery id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a delivery id like 1042.0; `decnet delivery list --event-id ID` shows those of the deliveries of an event"
)]
pub struct ParseDeliveryIdError(String);

impl DeliveryId {
    /// The number of low bits that hold the delivery's number.
    pub(super) const NUMBER_BITS: u32 = MAX_FAN_OUT.trailing_zeros();
    /// The highest sequence number. Ids above it would collide with the order keys of redeliveries.
    pub(super) const MAX_SEQ: i64 = i64::MAX >> (NUMBER_BITS + 1);

    pub(super) fn new(seq: i64, number: u32) -> Self {
        debug_assert!(number < MAX_FAN_OUT && (0..=Self::MAX_SEQ).contains(&seq));
        Self(seq << NUMBER_BITS | i64::from(number))
    }

    /// Returns the sequence number of the delivery's event.
    #[must_use]
    pub fn seq(self) -> i64 {
        self.0 >> NUMBER_BITS
    }

    /// Returns the delivery's number among the deliveries of its event, counted from 0.
    #[must_use]
    pub fn number(self) -> u32 {
        u32::try_from(self.0 & i64::from(MAX_FAN_OUT - 1)).expect("fewer than 32 bits")
    }

    /// Returns the `n`th delivery of the same event after this delivery.
    ///
    /// # Panics
    /// In debug builds, if the number exceeds `MAX_FAN_OUT`.
    #[must_use]
    pub fn plus(self, n: u32) -> Self {
        Self::new(self.seq(), self.number() + n)
    }

    /// Returns the lowest and the highest id that a delivery of this event can have.
    pub(super) fn range_of_event(seq: i64) -> (i64, i64) {
        (Self::new(seq, 0).0, Self::new(seq, MAX_FAN_OUT - 1).0)
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
    fn display_and_parse_round_trip() {
        for (seq, number) in [(0, 0), (1042, 0), (7, MAX_FAN_OUT - 1), (DeliveryId::MAX_SEQ, 3)] {
            let id = DeliveryId::new(seq, number);
            assert_eq!((id.seq(), id.number()), (seq, number));
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn other_texts_are_rejected() {
        for text in ["", "1", "1.", ".1", "-1.0", "+1.0", "1.1048576", "9999999999999999.0", "1.0.0", "a.b"] {
            assert!(text.parse::<DeliveryId>().is_err(), "{text}");
        }
    }

    #[test]
    fn ids_ascend_with_the_sequence_number() {
        assert!(DeliveryId::new(1, MAX_FAN_OUT - 1) < DeliveryId::new(2, 0));
        assert_eq!(DeliveryId::new(5, 0).plus(2), DeliveryId::new(5, 2));
    }
}
