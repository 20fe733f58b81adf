//! The memory budget for the bodies of event submissions, in total and per sender.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use decnet_core::limits::{MAX_API_CLIENT_SUBMISSION_BYTES, MAX_API_SUBMISSION_BYTES};
use decnet_runtime::sync::lock;

use crate::auth::PrincipalId;
use crate::problem::Problem;

/// The budget, shared by clones.
#[derive(Clone, Default)]
pub(crate) struct BodyBudget(Arc<Mutex<Usage>>);

#[derive(Default)]
struct Usage {
    bytes: usize,
    /// The bytes held by each sender; senders without bytes have no entry.
    by_sender: HashMap<PrincipalId, usize>,
}

/// The bytes that one request holds, released on drop. Only received bytes count, not announced bytes.
pub(crate) struct BodyReservation {
    budget: BodyBudget,
    sender: PrincipalId,
    bytes: usize,
}

impl BodyBudget {
    /// Creates an empty reservation for a request from `sender`.
    pub(crate) fn reserve(&self, sender: PrincipalId) -> BodyReservation {
        BodyReservation { budget: self.clone(), sender, bytes: 0 }
    }
}

impl BodyReservation {
    /// Reserves `bytes` more.
    ///
    /// # Errors
    /// The total would exceed `MAX_API_SUBMISSION_BYTES`, or the sender's share `MAX_API_CLIENT_SUBMISSION_BYTES`.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Problem> {
        let mut usage = lock(&self.budget.0);
        let of_sender = usage.by_sender.get(&self.sender).map_or(bytes, |held| held + bytes);
        if usage.bytes + bytes > MAX_API_SUBMISSION_BYTES || of_sender > MAX_API_CLIENT_SUBMISSION_BYTES {
            return Err(Problem::busy("too many submitted bytes wait to be committed; try again later"));
        }
        usage.bytes += bytes;
        usage.by_sender.insert(self.sender.clone(), of_sender);
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for BodyReservation {
    fn drop(&mut self) {
        let mut usage = lock(&self.budget.0);
        usage.bytes -= self.bytes;
        let Some(of_sender) = usage.by_sender.get_mut(&self.sender) else { return };
        *of_sender -= self.bytes;
        if *of_sender == 0 {
            usage.by_sender.remove(&self.sender);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(budget: &BodyBudget, sender: &str, bytes: usize) -> Result<BodyReservation, Problem> {
        let mut reservation = budget.reserve(PrincipalId::Token(sender.into()));
        reservation.grow(bytes).map(|()| reservation)
    }

    #[test]
    fn one_sender_leaves_budget_to_the_others() {
        let budget = BodyBudget::default();
        let mut first = filled(&budget, "a", MAX_API_CLIENT_SUBMISSION_BYTES - 1).unwrap();
        assert!(first.grow(1).is_ok() && first.grow(1).is_err());
        assert!(
            filled(&budget, "a", 1).is_err() && filled(&budget, "b", MAX_API_CLIENT_SUBMISSION_BYTES).is_ok()
        );
        drop(first);
        assert!(filled(&budget, "a", MAX_API_CLIENT_SUBMISSION_BYTES).is_ok());
        assert!(lock(&budget.0).by_sender.is_empty(), "a sender that holds nothing is not kept");
    }

    #[test]
    fn total_budget_is_bounded() {
        let (budget, each) = (BodyBudget::default(), MAX_API_CLIENT_SUBMISSION_BYTES);
        let held: Vec<_> = (0..).map_while(|n| filled(&budget, &format!("{n}"), each).ok()).collect();
        assert_eq!(held.len(), MAX_API_SUBMISSION_BYTES / each);
        drop(held);
        assert_eq!(lock(&budget.0).bytes, 0);
    }
}
