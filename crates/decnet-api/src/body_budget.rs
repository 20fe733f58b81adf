//! The memory budget for the bodies of event submissions, in total and per sender.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use decnet_core::limits::{MAX_API_SENDER_BYTES, MAX_API_SUBMITTING_BYTES};

use crate::auth::PrincipalId;

/// The budget, shared by clones.
#[derive(Clone, Default)]
pub(crate) struct BodyBudget(Arc<Mutex<Usage>>);

#[derive(Default)]
struct Usage {
    bytes: usize,
    /// The bytes of each sender that holds any.
    by_sender: HashMap<PrincipalId, usize>,
}

/// The bytes that one request holds, released on drop. Only received bytes count, not announced ones.
pub(crate) struct BodyReservation {
    budget: BodyBudget,
    sender: PrincipalId,
    bytes: usize,
}

/// The budget is exhausted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BudgetExceeded;

impl BodyBudget {
    /// Starts a reservation for a request of `sender`.
    pub(crate) fn reserve(&self, sender: PrincipalId) -> BodyReservation {
        BodyReservation { budget: self.clone(), sender, bytes: 0 }
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Usage {
    fn add(&mut self, sender: &PrincipalId, bytes: usize) -> Result<(), BudgetExceeded> {
        let sender_bytes = self.by_sender.get_mut(sender);
        let after = sender_bytes.as_ref().map_or(0, |held| **held) + bytes;
        if self.bytes + bytes > MAX_API_SUBMITTING_BYTES || after > MAX_API_SENDER_BYTES {
            return Err(BudgetExceeded);
        }
        self.bytes += bytes;
        match sender_bytes {
            Some(held) => *held = after,
            None => drop(self.by_sender.insert(sender.clone(), after)),
        }
        Ok(())
    }

    fn remove(&mut self, sender: &PrincipalId, bytes: usize) {
        self.bytes -= bytes;
        let Some(held) = self.by_sender.get_mut(sender) else { return };
        *held -= bytes;
        if *held == 0 {
            self.by_sender.remove(sender);
        }
    }
}

impl BodyReservation {
    /// Reserves `bytes` more.
    ///
    /// # Errors
    /// The total would exceed `MAX_API_SUBMITTING_BYTES`, or the sender's share `MAX_API_SENDER_BYTES`.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), BudgetExceeded> {
        let mut usage = self.budget.usage();
        usage.add(&self.sender, bytes)?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for BodyReservation {
    fn drop(&mut self) {
        self.budget.usage().remove(&self.sender, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(budget: &BodyBudget, sender: &str, bytes: usize) -> Result<BodyReservation, BudgetExceeded> {
        let mut reservation = budget.reserve(PrincipalId::Token(sender.into()));
        reservation.grow(bytes).map(|()| reservation)
    }

    #[test]
    fn one_sender_leaves_budget_to_the_others() {
        let budget = BodyBudget::default();
        let mut first = filled(&budget, "a", MAX_API_SENDER_BYTES - 1).unwrap();
        assert_eq!((first.grow(1), first.grow(1)), (Ok(()), Err(BudgetExceeded)));
        assert!(filled(&budget, "a", 1).is_err() && filled(&budget, "b", MAX_API_SENDER_BYTES).is_ok());
        drop(first);
        assert!(filled(&budget, "a", MAX_API_SENDER_BYTES).is_ok());
        assert!(budget.usage().by_sender.is_empty(), "a sender that holds nothing is not kept");
    }

    #[test]
    fn total_is_bounded() {
        let (budget, each) = (BodyBudget::default(), MAX_API_SENDER_BYTES);
        let held: Vec<_> = (0..).map_while(|n| filled(&budget, &format!("{n}"), each).ok()).collect();
        assert_eq!(held.len(), MAX_API_SUBMITTING_BYTES / each);
        drop(held);
        assert_eq!(budget.usage().bytes, 0);
    }
}
