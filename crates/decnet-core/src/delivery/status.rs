//! The status of a delivery as shown to operators.

use super::State;

/// The status of a delivery: its [`State`], or `Parked` while it waits for a subscription that receives nothing now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryStatus {
    /// Not yet attempted.
    Pending,
    /// Waiting for the next attempt after a failed attempt.
    Retrying,
    /// Waiting for the subscription to be enabled or to recover.
    Parked,
    /// Accepted by the receiver with a 2xx.
    Delivered,
    /// Not delivered and no longer retried.
    Dead,
}

/// A text that is not the name of a [`DeliveryStatus`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a delivery state; use pending, retrying, parked, delivered or dead")]
pub struct ParseDeliveryStatusError(String);

impl DeliveryStatus {
    /// Every status, in the order in which a delivery passes through them.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Retrying, Self::Parked, Self::Delivered, Self::Dead];

    /// Returns the status of a delivery in `state`. `is_active` is whether its subscription receives requests now.
    #[must_use]
    pub fn new(state: State, is_active: bool) -> Self {
        match state {
            State::Delivered => Self::Delivered,
            State::Dead { .. } => Self::Dead,
            State::Pending | State::Retrying { .. } if !is_active => Self::Parked,
            State::Pending => Self::Pending,
            State::Retrying { .. } => Self::Retrying,
        }
    }

    /// Returns the name of the status, as in the API and in filters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Retrying => "retrying",
            Self::Parked => "parked",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }

    /// Returns whether the status changes only if an operator redelivers the event.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Dead)
    }
}

impl std::str::FromStr for DeliveryStatus {
    type Err = ParseDeliveryStatusError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|status| status.as_str() == text);
        found.ok_or_else(|| ParseDeliveryStatusError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Reason;
    use crate::time::UnixMicros;

    #[test]
    fn only_waiting_deliveries_are_parked() {
        let retrying = State::Retrying { due_at: UnixMicros(1) };
        let dead = State::Dead { reason: Reason::Refused };
        for (state, active, inactive) in [
            (State::Pending, DeliveryStatus::Pending, DeliveryStatus::Parked),
            (retrying, DeliveryStatus::Retrying, DeliveryStatus::Parked),
            (State::Delivered, DeliveryStatus::Delivered, DeliveryStatus::Delivered),
            (dead, DeliveryStatus::Dead, DeliveryStatus::Dead),
        ] {
            assert_eq!(
                (DeliveryStatus::new(state, true), DeliveryStatus::new(state, false)),
                (active, inactive)
            );
        }
    }

    #[test]
    fn status_names_round_trip() {
        for status in DeliveryStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        assert!("open".parse::<DeliveryStatus>().is_err());
    }
}
